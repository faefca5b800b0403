#include <cstdint>

#include <distill/core/strings.h>
#include <distill/data/batch_source.h>
#include <distill/data/document_row.h>
#include <distill/io/jsonl.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace {

constexpr std::size_t kMostProblems = 100;

struct RowCounts {
  std::int64_t rows = 0;
  std::int64_t text = 0;
  std::int64_t chat = 0;
  std::uint64_t bytes = 0;
};

void count_row(const data::DocumentRow& row, RowCounts& counts) {
  if (const auto* text = row.text()) {
    ++counts.text;
    counts.bytes += text->size();
    return;
  }
  ++counts.chat;
  for (const auto& message : *row.messages()) counts.bytes += message.content.size();
}

/// Every row in turn; a bad one is a problem and reading goes on at the next line.
RowCounts read_rows(const InspectOptions& options, Inspection& inspection) {
  RowCounts counts;
  io::JsonlReader reader(options.path);
  for (bool more = true; more && inspection.problems.size() < kMostProblems;) {
    collect_problem(inspection, [&] {
      const auto row = reader.next();
      more = row.has_value();
      if (!row) return;
      ++counts.rows;
      count_row(data::parse_document_row(*row), counts);
    });
  }
  if (inspection.problems.size() == kMostProblems) {
    inspection.facts.emplace_back("stopped", core::concat("after ", kMostProblems, " problems"));
  }
  return counts;
}

void count_tokens(const InspectOptions& options, Inspection& inspection) {
  const auto tokenizer = text::load_tokenizer(options.model);
  const auto chat = text::load_chat_template(options.model, "auto");
  const auto log = core::make_null_logger();
  data::DataOptions data_options;
  data_options.packing = false;
  const auto dataset = data::Dataset::load({{options.path.string(), 1.0}}, data_options, *tokenizer,
                                           chat.get(), *log);
  inspection.facts.emplace_back("tokens", core::with_thousands(dataset->num_tokens()));
  inspection.facts.emplace_back("target tokens", core::with_thousands(dataset->num_targets()));
}

}  // namespace

Inspection inspect_data_file(const InspectOptions& options) {
  Inspection inspection;
  inspection.kind = "JSONL data";
  collect_problem(inspection, [&] {
    const RowCounts counts = read_rows(options, inspection);
    inspection.facts.emplace_back("rows", core::with_thousands(counts.rows));
    if (counts.text > 0)
      inspection.facts.emplace_back("text rows", core::with_thousands(counts.text));
    if (counts.chat > 0)
      inspection.facts.emplace_back("chat rows", core::with_thousands(counts.chat));
    inspection.facts.emplace_back("text", core::human_bytes(counts.bytes));
  });
  if (!options.model.empty() && inspection.problems.empty()) {
    collect_problem(inspection, [&] { count_tokens(options, inspection); });
  }
  return inspection;
}

}  // namespace distill::commands
