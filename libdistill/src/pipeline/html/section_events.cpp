#include <algorithm>

#include <distill/core/strings.h>

#include "pipeline/html/look_up.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/numbers.h"
#include "pipeline/html/sections.h"

namespace distill::pipeline::html {

namespace {

using core::concat;

constexpr std::size_t kMostGateBytes = 10'000;

std::string words(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return escaped(name);
}

std::string row(const Event& event) {
  std::string values;
  for (const auto& [name, value] : event.values) {
    values += concat("<span class=\"value\">", words(name), " <b>", escaped(value), "</b></span> ");
  }
  return concat("<tr><td class=\"step\">",
                event.step ? core::with_thousands(*event.step) : std::string("&ndash;"),
                "</td><th scope=\"row\"><span class=\"tag\">", words(event.name),
                "</span></th><td class=\"values\">", values, "</td></tr>\n");
}

std::string verdict(const io::JsonValue* holds) {
  const auto* flag = holds == nullptr ? nullptr : std::get_if<bool>(&holds->storage());
  if (flag == nullptr) return "&ndash;";
  return *flag ? "<span class=\"yes\">holds</span>" : "<span class=\"no\">does not hold</span>";
}

/// `of`: the stage, as a text of the page; empty: the run itself.
std::string gate_row(const std::string& of, const io::JsonValue& gate) {
  const auto value = number_at(&gate, {"value"});
  return concat("<tr><th scope=\"row\">", of, "<code>", escaped(text_at(&gate, {"require"})),
                "</code></th><td>", value ? number(*value) : std::string("not measured"),
                "</td><td>", verdict(find(&gate, {"holds"})), "</td><td>",
                escaped(text_at(&gate, {"on_failure"})), "</td></tr>\n");
}

/// The set that was worst at the monitor's last look, and its drop; one whose drop is no number is
/// worse than any.
std::string worst_drop(const io::JsonValue* drops) {
  std::string worst;
  std::optional<double> drop;
  for (const auto& [set, value] : members_of(drops)) {
    const auto held = number_at(&value, {});
    if (!held) return concat("not finite (", escaped(set), ")");
    if (drop && *held <= *drop) continue;
    drop = held;
    worst = set;
  }
  return drop ? concat(number(*drop, Unit::kShare), " (", escaped(worst), ")") : "not measured";
}

/// The monitor of forgetting is a gate too.
std::string forgetting_row(const std::string& of, const io::JsonValue& report) {
  const io::JsonValue* forgetting = find(&report, {"forgetting"});
  const auto limit = number_at(forgetting, {"max_drop"});
  if (!limit) return "";
  return concat("<tr><th scope=\"row\">", of, "no set worse than before by more than ",
                number(*limit, Unit::kShare), "</th><td>", worst_drop(find(forgetting, {"drops"})),
                "</td><td>", verdict(find(forgetting, {"within_limit"})), "</td><td></td></tr>\n");
}

/// Settings that an earlier attempt's gates asked for.
std::string attempt_note(const RunRecord& record) {
  const auto attempt = number_at(&record.report, {"attempt"});
  if (!attempt || !(*attempt > 1)) return "";
  std::string settings;
  const io::JsonValue* list = find(&record.report, {"settings"});
  if (list != nullptr && list->is_array()) {
    for (const auto& item : std::get<io::JsonArray>(list->storage())) {
      settings += concat(settings.empty() ? ", with <code>" : ", <code>",
                         escaped(text_at(&item, {})), "</code>");
    }
  }
  return concat("<p class=\"facts\">Attempt ", number(*attempt), settings, "</p>\n");
}

void add_gates(std::string& rows, const std::string& of, const io::JsonValue& report) {
  const io::JsonValue* list = find(&report, {"gates"});
  if (list == nullptr || !list->is_array()) return;
  for (const auto& gate : std::get<io::JsonArray>(list->storage())) {
    if (rows.size() < kMostGateBytes) rows += gate_row(of, gate);
  }
}

std::string gates(const RunRecord& record) {
  std::string rows;
  for (const StagePage& stage : record.stages) {
    const std::string of = escaped(stage.name) + ": ";
    add_gates(rows, of, stage.report);
    rows += forgetting_row(of, stage.report);
  }
  add_gates(rows, "", record.report);
  rows += forgetting_row("", record.report);
  const std::string note = attempt_note(record);
  if (rows.empty()) return note;
  return concat(note,
                "<div class=\"card scroll\"><table>\n<thead><tr><th scope=\"col\">Required</th><th "
                "scope=\"col\">It is</th><th scope=\"col\">Verdict</th><th scope=\"col\">If "
                "not</th></tr></thead>\n<tbody>\n",
                rows, "</tbody></table></div>\n");
}

std::string event_table(const RunMetrics& metrics) {
  std::string rows;
  for (const auto& event : metrics.first_events) rows += row(event);
  if (metrics.other_events > 0) {
    rows +=
        concat("<tr><td colspan=\"3\" class=\"more\">", core::with_thousands(metrics.other_events),
               " more in metrics.jsonl</td></tr>\n");
  }
  for (const auto& event : metrics.last_events) rows += row(event);
  if (rows.empty()) return "";
  return concat(
      "<div class=\"card scroll\"><table class=\"events\">\n<thead><tr><th "
      "scope=\"col\">Step</th><th scope=\"col\">Event</th><th "
      "scope=\"col\">Values</th></tr></thead>\n<tbody>\n",
      rows, "</tbody></table></div>\n");
}

}  // namespace

std::string events_section(const RunRecord& record) {
  return section("Gates", gates(record)) + section("Events", event_table(record.metrics));
}

}  // namespace distill::pipeline::html
