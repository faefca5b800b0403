#include <distill/data/report.h>

#include <algorithm>

#include <distill/core/strings.h>
#include <distill/core/table.h>

namespace distill::data {

namespace {

using core::with_thousands;

std::string percent(double share, int digits = 1) {
  return core::fixed(100 * share, digits) + " %";
}

void write_file(core::JsonWriter& json, const FileReport& file) {
  json.begin_object()
      .member("path", file.path)
      .member("weight", file.weight)
      .member("documents", file.documents)
      .member("tokens", file.tokens)
      .member("skipped", file.skipped)
      .member("seen_documents", file.seen_documents)
      .member("seen_tokens", file.seen_tokens)
      .end_object();
}

/// Which share of an epoch comes from which file; nothing for a single one.
std::string mix_text(const DataReport& report, const std::string& indent) {
  if (report.files.size() < 2) return {};
  constexpr std::size_t kShown = 20;
  std::int64_t all = 0;
  for (const FileReport& file : report.files) all += file.seen_tokens;
  core::Table table(core::Table::Align::kRight);
  table.add({"file", "documents", "tokens", "weight", "seen", "of the tokens"});
  for (std::size_t i = 0; i < std::min(kShown, report.files.size()); ++i) {
    const FileReport& file = report.files[i];
    table.add(
        {file.path, with_thousands(file.documents), with_thousands(file.tokens),
         core::concat(file.weight), with_thousands(file.seen_documents),
         percent(all > 0 ? static_cast<double>(file.seen_tokens) / static_cast<double>(all) : 0)});
  }
  std::string text = table.text(indent);
  if (report.files.size() > kShown) {
    text += core::concat(indent, "and ", report.files.size() - kShown, " more files\n");
  }
  return text;
}

}  // namespace

void write_json(core::JsonWriter& json, const DataReport& report) {
  json.begin_object()
      .member("documents", report.documents)
      .member("skipped", report.skipped)
      .key("first_skipped")
      .begin_array();
  for (const auto& why : report.first_skipped) json.value(why);
  json.end_array().key("lengths").begin_object();
  json.member("min", report.shortest)
      .member("median", report.median)
      .member("percentile_95", report.percentile_95)
      .member("max", report.longest)
      .end_object();
  json.member("long_documents", report.long_documents)
      .member("tokens_cut_off", report.tokens_cut_off)
      .member("tokens_unlearned", report.tokens_unlearned)
      .member("cut_to_fill", report.cut_to_fill)
      .member("tokens", report.tokens)
      .member("positions", report.positions)
      .member("packing_use", report.use());
  json.key("files").begin_array();
  for (const FileReport& file : report.files) write_file(json, file);
  json.end_array().end_object();
}

std::string report_text(const DataReport& report, const std::string& indent) {
  core::Table lengths;
  lengths.add({"tokens of a document", "min", "median", "95 %", "max"});
  lengths.add({"", with_thousands(report.shortest), with_thousands(report.median),
               with_thousands(report.percentile_95), with_thousands(report.longest)});
  std::string text = lengths.text(indent);
  const auto line = [&](const auto&... parts) { text += core::concat(indent, parts..., "\n"); };
  line(with_thousands(report.long_documents), " documents are longer than a row; ",
       with_thousands(report.tokens_cut_off), " tokens (", percent(report.truncated(), 2),
       ") are cut off");
  line("packing uses ", percent(report.use()), " of ", with_thousands(report.positions),
       " positions",
       report.cut_to_fill > 0 ? core::concat("; ", with_thousands(report.cut_to_fill),
                                             " documents are cut up to fill rows "
                                             "(`data.min_packing_use`)")
                              : std::string());
  if (report.tokens_unlearned > 0) {
    line(with_thousands(report.tokens_unlearned),
         " tokens are left out, in pieces with nothing to learn");
  }
  if (report.skipped > 0) {
    line(with_thousands(report.skipped), report.skipped == 1 ? " row is" : " rows are",
         " skipped:");
    for (const auto& why : report.first_skipped) line("  ", why);
  }
  return text + mix_text(report, indent);
}

}  // namespace distill::data
