#include "pipeline/forgetting_state.h"

#include <algorithm>
#include <cmath>

#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/io/json_value.h>

#include "pipeline/forgetting_json.h"

namespace distill::pipeline {

namespace {

constexpr std::int64_t kFormatVersion = 1;
constexpr io::JsonLimits kLimits{.max_bytes = std::uint64_t{64} << 20,
                                 .max_values = std::uint64_t{1} << 23};

ForgettingLook read_look(const io::JsonCursor& object) {
  ForgettingLook look{read_count(object, "step"), read_count(object, "reactions"),
                      read_drops(object)};
  if (look.drops.empty()) object.at("drops").fail("is empty, expected a set");
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
    write_drops(json, look.drops);
    json.end_object();
  }
  json.end_array();
  write_reactions(json, state.reactions);
  json.end_object();
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
  state.reactions = read_reactions(root);
  return state;
}

}  // namespace distill::pipeline
