#include "pipeline/forgetting_json.h"

#include <cstdint>
#include <limits>

namespace distill::pipeline {

void write_drops(core::JsonWriter& json, const Drops& drops) {
  json.key("drops").begin_object();
  for (const auto& [set, drop] : drops) json.member(set, drop);
  json.end_object();
}

void write_reactions(core::JsonWriter& json, const std::vector<ForgettingReaction>& reactions) {
  json.key("reactions").begin_array();
  for (const auto& reaction : reactions) {
    json.begin_object()
        .member("step", reaction.step)
        .member("back_to", reaction.back_to)
        .member("set", reaction.set)
        .member("drop", reaction.drop)
        .end_object();
  }
  json.end_array();
}

Drops read_drops(const io::JsonCursor& object) {
  Drops drops;
  const io::JsonCursor members = object.at("drops");
  for (const auto& [set, ignored] : members.as_object().members()) {
    drops.emplace_back(set, read_drop(members, set));
  }
  return drops;
}

std::vector<ForgettingReaction> read_reactions(const io::JsonCursor& object) {
  std::vector<ForgettingReaction> reactions;
  const io::JsonCursor list = object.at("reactions");
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    const io::JsonCursor reaction = list.at(i);
    reactions.push_back({read_count(reaction, "step"), read_count(reaction, "back_to"),
                         reaction.at("set").as_string(), read_drop(reaction, "drop")});
  }
  return reactions;
}

double read_drop(const io::JsonCursor& object, std::string_view name) {
  const auto* member = object.as_object().find(name);
  if (member != nullptr && member->is_null()) return std::numeric_limits<double>::quiet_NaN();
  return object.at(name).as_double();
}

std::int64_t read_count(const io::JsonCursor& object, std::string_view name) {
  return object.at(name).int_in(0, std::numeric_limits<std::int64_t>::max());
}

}  // namespace distill::pipeline
