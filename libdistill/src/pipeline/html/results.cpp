#include "pipeline/html/results.h"

#include <algorithm>
#include <array>
#include <limits>

#include "pipeline/html/look_up.h"

namespace distill::pipeline::html {

namespace {

constexpr std::size_t kMostResults = 80;
constexpr std::size_t kMostSets = 100;

/// A number, NaN for the null that stands for one that is not finite.
std::optional<double> measured(const io::JsonValue* object, const std::string& name) {
  const io::JsonValue* value = find(object, {name});
  if (value != nullptr && value->is_null()) return std::numeric_limits<double>::quiet_NaN();
  return number_at(object, {name});
}

std::optional<Interval> pair_of(const io::JsonValue* list) {
  if (list == nullptr || !list->is_array()) return std::nullopt;
  const auto& items = std::get<io::JsonArray>(list->storage());
  if (items.size() != 2) return std::nullopt;
  const auto low = number_at(&items[0], {});
  const auto high = number_at(&items[1], {});
  if (!low || !high) return std::nullopt;
  return Interval(*low, *high);
}

/// The teacher's own figure, where it is written or cannot be another.
std::optional<double> of_teacher(const io::JsonValue* evaluation, const std::string& name) {
  if (name == "kl_to_teacher" || name == "top_k_kl_to_teacher") return 0.0;
  if (name == "top1_agreement") return 1.0;
  return number_at(evaluation, {"teacher_" + name});
}

void add_results(const SetResults& from, std::vector<Result>& into) {
  std::vector<std::string> names;
  for (const io::JsonValue* source : {from.after, from.before}) {
    for (const auto& [name, value] : members_of(source)) {
      const bool measured = (value.is_number() || value.is_null()) && is_result(name);
      if (!measured || names.size() == kMostResults) continue;
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  for (const auto& name : names) {
    if (into.size() == kMostResults) return;
    Result result{.name = name, .set = from.name, .measure = measure(name)};
    result.before = measured(from.before, name);
    result.after = measured(from.after, name);
    result.before_interval = interval_of(from.before, name);
    result.after_interval = interval_of(from.after, name);
    result.change_interval = interval_of(from.change, name);
    result.teacher = measured(from.teacher, name);
    if (!result.teacher) {
      result.teacher = of_teacher(from.after != nullptr ? from.after : from.before, name);
    }
    into.push_back(std::move(result));
  }
}

/// The set of a name, which is added when it is new; null when there are too many.
SetResults* set_named(std::vector<SetResults>& sets, const std::string& name) {
  const auto found = std::ranges::find(sets, name, &SetResults::name);
  if (found != sets.end()) return &*found;
  if (sets.size() == kMostSets) return nullptr;
  sets.push_back({.name = name});
  return &sets.back();
}

}  // namespace

std::optional<Interval> interval_of(const io::JsonValue* object, const std::string& name) {
  if (const auto pair = pair_of(find(object, {"intervals", name}))) return pair;
  for (const std::string& prefix : {name + "_", std::string()}) {
    if (const auto pair = pair_of(find(object, {prefix + "interval"}))) return pair;
    const auto low = number_at(object, {prefix + "low"});
    const auto high = number_at(object, {prefix + "high"});
    if (low && high) return Interval(*low, *high);
  }
  return std::nullopt;
}

bool is_result(std::string_view name) {
  constexpr std::array<std::string_view, 10> kOthers = {"tokens",  "rows", "items", "step", "cut",
                                                        "seconds", "n",    "count", "low",  "high"};
  if (std::ranges::find(kOthers, name) != kOthers.end()) return false;
  for (const std::string_view end : {"_seconds", "_low", "_high", "_count"}) {
    if (name.ends_with(end)) return false;
  }
  return !name.starts_with("teacher_");
}

const char* change_kind(const Result& result) {
  if (!result.before || !result.after) return "";
  const double gain = (*result.after - *result.before) * result.measure.better;
  return gain > 0 ? "good" : gain < 0 ? "bad" : "";
}

std::vector<std::pair<std::string, const io::JsonValue*>> named_items(const io::JsonValue* value,
                                                                      std::string_view key) {
  std::vector<std::pair<std::string, const io::JsonValue*>> items;
  for (const auto& [name, item] : members_of(value)) items.emplace_back(name, &item);
  if (value == nullptr || !value->is_array()) return items;
  for (const auto& item : std::get<io::JsonArray>(value->storage())) {
    std::string name = text_at(&item, {key});
    if (name.empty()) name = text_at(&item, {"name"});
    if (!name.empty()) items.emplace_back(std::move(name), &item);
  }
  return items;
}

std::vector<SetResults> set_results(const io::JsonValue& report) {
  std::vector<SetResults> sets;
  const auto fill = [&](std::string_view when, const io::JsonValue* SetResults::*place) {
    for (const auto& [name, item] : named_items(find(&report, {when, "sets"}), "set")) {
      if (SetResults* set = set_named(sets, name)) set->*place = item;
    }
  };
  fill("before", &SetResults::before);
  fill("after", &SetResults::after);
  fill("teacher", &SetResults::teacher);
  for (const auto& [name, item] : named_items(find(&report, {"sets"}), "set")) {
    SetResults* set = set_named(sets, name);
    if (set == nullptr) break;
    set->before = find(item, {"before"});
    set->after = find(item, {"after"});
    set->teacher = find(item, {"teacher"});
  }
  for (auto& set : sets) {
    set.change = find(&report, {"differences", set.name, "after_minus_before"});
  }
  return sets;
}

std::vector<Result> results(const io::JsonValue& report) {
  std::vector<Result> all;
  add_results({.name = "", .before = find(&report, {"before"}), .after = find(&report, {"after"})},
              all);
  for (const auto& set : set_results(report)) add_results(set, all);
  return all;
}

}  // namespace distill::pipeline::html
