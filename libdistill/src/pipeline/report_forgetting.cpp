#include "pipeline/report_forgetting.h"

#include <cmath>

#include <distill/core/strings.h>
#include <distill/core/table.h>

#include "pipeline/forgetting_json.h"

namespace distill::pipeline {

namespace {

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
  write_drops(json, report.drops);
  write_reactions(json, report.reactions);
  json.end_object();
}

ForgettingReport read_forgetting_report(const io::JsonCursor& object) {
  ForgettingReport report;
  report.max_drop = read_drop(object, "max_drop");
  report.within_limit = object.at("within_limit").as_bool();
  report.drops = read_drops(object);
  report.reactions = read_reactions(object);
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
