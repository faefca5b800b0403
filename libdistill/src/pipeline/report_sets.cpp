#include "pipeline/report_sets.h"

#include <algorithm>

#include "pipeline/set_files.h"

namespace distill::pipeline {

namespace {

void write_one(core::JsonWriter& json, const std::optional<eval::SetSummary>& summary,
               const std::string& name) {
  if (!summary) return;
  json.key(name).begin_object();
  eval::write_members(json, *summary);
  json.end_object();
}

SetReport& named(std::vector<SetReport>& sets, const std::string& name) {
  const auto found = std::ranges::find(sets, name, &SetReport::name);
  if (found != sets.end()) return *found;
  return sets.emplace_back(SetReport{.name = name});
}

void read_side(const io::JsonCursor& report, const char* part, SetSide side,
               std::vector<SetReport>& sets) {
  if (!report.has(part) || !report.at(part).has("sets")) return;
  const io::JsonCursor all = report.at(part).at("sets");
  for (const auto& [name, ignored] : all.as_object().members()) {
    named(sets, name).*side = read_summary(all.at(name));
  }
}

}  // namespace

bool has_sets(const std::vector<SetReport>& sets, SetSide side) {
  return std::ranges::any_of(sets, [side](const auto& set) { return (set.*side).has_value(); });
}

void write_sets(core::JsonWriter& json, const std::vector<SetReport>& sets, SetSide side) {
  if (!has_sets(sets, side)) return;
  json.key("sets").begin_object();
  for (const SetReport& set : sets) write_one(json, set.*side, set.name);
  json.end_object();
}

void write_differences(core::JsonWriter& json, const std::vector<SetReport>& sets) {
  if (!has_sets(sets, &SetReport::change) && !has_sets(sets, &SetReport::gap)) return;
  json.key("differences").begin_object();
  for (const SetReport& set : sets) {
    json.key(set.name).begin_object();
    write_one(json, set.change, "after_minus_before");
    write_one(json, set.gap, "after_minus_teacher");
    json.end_object();
  }
  json.end_object();
}

std::vector<SetReport> read_sets(const io::JsonCursor& report) {
  std::vector<SetReport> sets;
  read_side(report, "before", &SetReport::before, sets);
  read_side(report, "after", &SetReport::after, sets);
  read_side(report, "teacher", &SetReport::teacher, sets);
  if (!report.has("differences")) return sets;
  const io::JsonCursor all = report.at("differences");
  for (const auto& [name, ignored] : all.as_object().members()) {
    const io::JsonCursor own = all.at(name);
    SetReport& set = named(sets, name);
    if (own.has("after_minus_before")) set.change = read_summary(own.at("after_minus_before"));
    if (own.has("after_minus_teacher")) set.gap = read_summary(own.at("after_minus_teacher"));
  }
  return sets;
}

}  // namespace distill::pipeline
