#include "pipeline/report_forgetting.h"

#include <cmath>
#include <limits>

#include <distill/core/strings.h>
#include <distill/core/table.h>

namespace distill::pipeline {

namespace {

double number(const io::JsonCursor& object, const std::string& name) {
  const auto* member = object.as_object().find(name);
  if (member != nullptr && member->is_null()) return std::numeric_limits<double>::quiet_NaN();
  return object.at(name).as_double();
}

std::int64_t count(const io::JsonCursor& object, std::string_view name) {
  return object.at(name).int_in(0, std::numeric_limits<std::int64_t>::max());
}

/// `3.1 % worse`, `2.0 % better`.
std::string drop_text(double drop) {
  if (!std::isfinite(drop)) return "no number any more";
  return core::concat(core::fixed(100 * std::fabs(drop), 1), drop > 0 ? " % worse" : " % better");
}

}  // namespace

void write(core::JsonWriter& json, const ForgettingReport& report) {
  json.begin_object()
      .member("max_drop", report.max_drop)
      .member("within_limit", report.within_limit);
  json.key("drops").begin_object();
  for (const auto& [set, drop] : report.drops) json.member(set, drop);
  json.end_object().key("reactions").begin_array();
  for (const auto& reaction : report.reactions) {
    json.begin_object()
        .member("step", reaction.step)
        .member("back_to", reaction.back_to)
        .member("set", reaction.set)
        .member("drop", reaction.drop)
        .end_object();
  }
  json.end_array().end_object();
}

ForgettingReport read_forgetting_report(const io::JsonCursor& object) {
  ForgettingReport report;
  report.max_drop = number(object, "max_drop");
  report.within_limit = object.at("within_limit").as_bool();
  const io::JsonCursor drops = object.at("drops");
  for (const auto& [set, ignored] : drops.as_object().members()) {
    report.drops.emplace_back(set, number(drops, set));
  }
  const io::JsonCursor reactions = object.at("reactions");
  for (std::size_t i = 0; i < reactions.as_array().size(); ++i) {
    const io::JsonCursor reaction = reactions.at(i);
    report.reactions.push_back({count(reaction, "step"), count(reaction, "back_to"),
                                reaction.at("set").as_string(), number(reaction, "drop")});
  }
  return report;
}

std::string forgetting_text(const ForgettingReport& report) {
  std::vector<std::string> drops;
  for (const auto& [set, drop] : report.drops) {
    drops.push_back(core::concat(set, " ", drop_text(drop)));
  }
  std::string text =
      core::concat("compared with before training: ", core::join(drops), " (the limit is ",
                   core::fixed(100 * report.max_drop, 1), " %)\n");
  for (const auto& reaction : report.reactions) {
    text += core::concat("went back from step ", reaction.step, " to ",
                         reaction.back_to > 0 ? core::concat("step ", reaction.back_to)
                                              : std::string("the beginning"),
                         ": ", reaction.set, " was ", drop_text(reaction.drop), "\n");
  }
  return text;
}

}  // namespace distill::pipeline
