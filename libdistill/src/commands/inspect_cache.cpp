#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/io/logit_cache.h>
#include <distill/io/signal_rows.h>
#include <distill/teachers/cache_head.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace {

const char* size_name(io::SignalForm form) {
  if (form == io::SignalForm::kHidden) return "hidden size";
  return form == io::SignalForm::kTopK ? "ids a position" : "draws";
}

/// Every signal of it, as training would read it.
void read_signals(const io::LogitCache& cache) {
  const io::LogitCacheSpec& spec = cache.info().spec;
  if (spec.form == io::SignalForm::kHidden) teachers::read_cache_head(cache.info());
  cache.read_all([&spec](const io::LogitCache::Segment& segment) {
    if (spec.form == io::SignalForm::kHidden) {
      const std::int64_t expected = segment.positions * spec.size * 2;
      if (std::ssize(segment.payload) != expected) {
        fail<FormatError>(segment.where, " has ", segment.payload.size(), " bytes, expected ",
                          expected);
      }
    } else if (spec.form == io::SignalForm::kTopK) {
      io::decode_top_k(segment.payload, segment.positions, spec.size, spec.vocabulary,
                       segment.where);
    } else {
      io::decode_sampled(segment.payload, segment.positions, spec.size, spec.vocabulary,
                         segment.where);
    }
  });
}

}  // namespace

Inspection inspect_logit_cache(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "logit cache";
  collect_problem(inspection, [&] {
    const io::LogitCacheInfo info = io::read_logit_cache_info(options.path);
    auto& facts = inspection.facts;
    facts.emplace_back("form", io::name_of(info.spec.form));
    facts.emplace_back(size_name(info.spec.form), core::with_thousands(info.spec.size));
    facts.emplace_back("vocabulary", core::with_thousands(info.spec.vocabulary));
    facts.emplace_back("temperature", core::concat(info.spec.temperature));
    facts.emplace_back("segments", core::with_thousands(info.segments));
    facts.emplace_back("positions", core::with_thousands(info.positions));
    facts.emplace_back("bytes", core::human_bytes(info.bytes));
    if (info.positions > 0) {
      facts.emplace_back(
          "bytes a position",
          core::fixed(static_cast<double>(info.bytes) / static_cast<double>(info.positions), 1));
    }
    facts.emplace_back("hash", info.hash);
    for (const auto& [name, value] : info.spec.facts) {
      facts.emplace_back(core::printable(name), core::printable(value, 200));
    }
    if (options.check) read_signals(io::LogitCache(options.path));
  });
  return inspection;
}

}  // namespace distill::commands
