#include "pipeline/forgetting_state.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/io/json_value.h>

namespace distill::pipeline {

namespace {

constexpr std::int64_t kFormatVersion = 1;
constexpr io::JsonLimits kLimits{.max_bytes = std::uint64_t{64} << 20,
                                 .max_values = std::uint64_t{1} << 23};

/// What is not finite was written as null, and is worse than any number.
double drop_of(const io::JsonCursor& object, const std::string& name) {
  const auto* member = object.as_object().find(name);
  if (member != nullptr && member->is_null()) return std::numeric_limits<double>::quiet_NaN();
  return object.at(name).as_double();
}

std::int64_t count(const io::JsonCursor& object, std::string_view name) {
  return object.at(name).int_in(0, std::numeric_limits<std::int64_t>::max());
}

ForgettingLook read_look(const io::JsonCursor& object) {
  ForgettingLook look{count(object, "step"), count(object, "reactions"), {}};
  const io::JsonCursor drops = object.at("drops");
  for (const auto& [name, ignored] : drops.as_object().members()) {
    look.drops.emplace_back(name, drop_of(drops, name));
  }
  if (look.drops.empty()) drops.fail("is empty, expected a set");
  return look;
}

}  // namespace

const std::pair<std::string, double>& ForgettingLook::worst() const {
  const std::pair<std::string, double>* found = &drops.front();
  for (const auto& drop : drops) {
    if (std::isnan(found->second)) break;
    if (std::isnan(drop.second) || drop.second > found->second) found = &drop;
  }
  return *found;
}

bool ForgettingState::counts(const ForgettingLook& look) const {
  for (auto i = static_cast<std::size_t>(look.reactions); i < reactions.size(); ++i) {
    if (look.step > reactions[i].back_to) return false;
  }
  return true;
}

const ForgettingLook* ForgettingState::look_at(std::int64_t step) const {
  for (const auto& look : looks) {
    if (look.step == step && counts(look)) return &look;
  }
  return nullptr;
}

const ForgettingLook* ForgettingState::newest_look() const {
  const ForgettingLook* newest = nullptr;
  for (const auto& look : looks) {
    if (counts(look) && (newest == nullptr || look.step > newest->step)) newest = &look;
  }
  return newest;
}

std::int64_t ForgettingState::good_step(double max_drop) const {
  std::int64_t good = 0;
  for (const auto& look : looks) {
    if (counts(look) && look.worst().second <= max_drop) good = std::max(good, look.step);
  }
  return good;
}

void write_forgetting(const std::filesystem::path& path, const ForgettingState& state) {
  core::JsonWriter json(2);
  json.begin_object().member("format_version", kFormatVersion).key("looks").begin_array();
  for (const auto& look : state.looks) {
    json.begin_object().member("step", look.step).member("reactions", look.reactions);
    json.key("drops").begin_object();
    for (const auto& [set, drop] : look.drops) json.member(set, drop);
    json.end_object().end_object();
  }
  json.end_array().key("reactions").begin_array();
  for (const auto& reaction : state.reactions) {
    json.begin_object()
        .member("step", reaction.step)
        .member("back_to", reaction.back_to)
        .member("set", reaction.set)
        .member("drop", reaction.drop)
        .end_object();
  }
  json.end_array().end_object();
  core::write_file_atomically(path, json.text() + "\n");
}

ForgettingState read_forgetting(const std::filesystem::path& path) {
  ForgettingState state;
  if (!core::path_exists(path)) return state;
  const io::JsonValue value = io::read_json_file(path, kLimits);
  const io::JsonCursor root(value, path.string());
  root.at("format_version").int_in(kFormatVersion, kFormatVersion);
  const io::JsonCursor looks = root.at("looks");
  for (std::size_t i = 0; i < looks.as_array().size(); ++i) {
    state.looks.push_back(read_look(looks.at(i)));
  }
  const io::JsonCursor reactions = root.at("reactions");
  for (std::size_t i = 0; i < reactions.as_array().size(); ++i) {
    const io::JsonCursor reaction = reactions.at(i);
    state.reactions.push_back({count(reaction, "step"), count(reaction, "back_to"),
                               reaction.at("set").as_string(), drop_of(reaction, "drop")});
  }
  return state;
}

}  // namespace distill::pipeline
