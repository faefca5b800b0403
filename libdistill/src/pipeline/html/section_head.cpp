#include <vector>

#include <distill/core/strings.h>

#include "pipeline/html/look_up.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/results.h"
#include "pipeline/html/sections.h"

namespace distill::pipeline::html {

namespace {

using core::concat;

/// `2026-11-29T03:12:45Z` as `2026-11-29 03:12 UTC`; anything else as it is.
std::string date(const std::string& text) {
  if (text.size() != 20 || text[10] != 'T' || text.back() != 'Z') return text;
  return concat(text.substr(0, 10), ' ', text.substr(11, 5), " UTC");
}

std::string what_it_was(const RunRecord& record) {
  const io::JsonValue* report = &record.report;
  std::vector<std::string> parts;
  const std::string finished = date(text_at(report, {"finished"}));
  const bool stopped = !text_at(report, {"stopped"}).empty();
  if (!finished.empty()) {
    parts.push_back(concat(stopped ? "stopped " : "finished ", escaped(finished)));
  }
  if (const auto steps = number_at(report, {"steps"})) parts.push_back(number(*steps) + " steps");
  if (const auto tokens = number_at(report, {"tokens"})) {
    parts.push_back(number(*tokens) + " tokens");
  }
  if (const auto seconds = number_at(report, {"seconds"})) {
    parts.push_back(core::human_seconds(*seconds));
  }
  const std::string device = text_at(report, {"device"});
  if (!device.empty()) parts.push_back(concat("on ", escaped(device)));
  return core::join(parts, " &middot; ");
}

std::string tile(const Result& result, const std::string& stage) {
  std::string below;
  if (result.before) {
    const Unit unit = result.measure.unit;
    below = concat("<p>from ", number(*result.before, unit), "<span class=\"change ",
                   change_kind(result), "\">", change(*result.before, *result.after, unit),
                   "</span></p>");
  }
  return concat("<div class=\"tile\"><h3>", escaped(result.measure.title),
                stage.empty() ? "" : " of " + escaped(stage), "</h3><strong>",
                number(*result.after, result.measure.unit), "</strong>", below, "</div>\n");
}

/// The first figures of the evaluation, those that tell most.
std::string tiles(const RunRecord& record) {
  const auto all = results(record.report);
  const std::string stage = text_at(&record.report, {"measured_stage"});
  std::string out;
  for (const std::string_view name :
       {"kl_to_teacher", "top_k_kl_to_teacher", "top1_agreement", "perplexity"}) {
    for (const auto& result : all) {
      if (result.name == name && result.set.empty() && result.after) out += tile(result, stage);
    }
  }
  return out.empty() ? "" : "<div class=\"tiles\">\n" + out + "</div>\n";
}

const char* kind_of(const RunRecord& record) {
  if (record.report.is_null()) return "Unfinished run";
  return text_at(&record.report, {"stopped"}).empty() ? "Distillation run" : "Stopped run";
}

}  // namespace

std::string head_section(const RunRecord& record) {
  std::string name = text_at(&record.report, {"name"});
  if (name.empty()) name = text_at(&record.manifest, {"name"});
  if (name.empty()) name = record.folder.filename().string();
  const std::string stopped = text_at(&record.report, {"stopped"});
  return concat(
      "<header>\n<p class=\"kind\">", kind_of(record),
      record.is_stage ? " &middot; one stage of <a href=\"../../report.html\">a run</a>" : "",
      "</p>\n<h1>", escaped(name), "</h1>\n<p class=\"facts\">", what_it_was(record), "</p>\n",
      stopped.empty() ? ""
                      : concat("<p class=\"no\">Stopped",
                               record.stages.empty() ? ", and no model is saved: " : ": ",
                               escaped(stopped), "</p>\n"),
      tiles(record), "</header>\n");
}

}  // namespace distill::pipeline::html
