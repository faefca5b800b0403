#include <distill/recipe/gate.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::recipe {

namespace {

using core::concat;
using Comparison = GateCondition::Comparison;

/// The longer of two that begin alike comes first.
constexpr std::array<std::pair<std::string_view, Comparison>, 4> kComparisons = {{
    {"<=", Comparison::kAtMost},
    {">=", Comparison::kAtLeast},
    {"<", Comparison::kBelow},
    {">", Comparison::kAbove},
}};

std::string_view without_blanks(std::string_view text) {
  const auto begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

[[noreturn]] void refuse(std::string_view text, const char* what) {
  fail<ConfigError>("is `", core::printable(text), "`, ", what,
                    "; expected a measure, one of < <= > >= and a number, such as "
                    "`kl_to_teacher < 0.4`");
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c == '_' || c == '.' || c == '-' || c == '/' || (c >= '0' && c <= '9') ||
           (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

}  // namespace

bool GateCondition::holds(double value) const {
  switch (comparison) {
    case Comparison::kBelow:
      return value < bound;
    case Comparison::kAtMost:
      return value <= bound;
    case Comparison::kAbove:
      return value > bound;
    case Comparison::kAtLeast:
      return value >= bound;
  }
  return false;
}

GateCondition parse_condition(std::string_view text) {
  const auto place = text.find_first_of("<>=!");
  if (place == std::string_view::npos) refuse(text, "which compares nothing");
  GateCondition condition;
  const std::string_view rest = text.substr(place);
  const auto found = std::ranges::find_if(
      kComparisons, [&](const auto& known) { return rest.starts_with(known.first); });
  if (found == kComparisons.end()) refuse(text, "whose comparison is not known");
  condition.comparison = found->second;
  condition.measure = without_blanks(text.substr(0, place));
  if (!is_name(condition.measure)) refuse(text, "which names no measure");
  const std::string_view number = without_blanks(rest.substr(found->first.size()));
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), condition.bound);
  if (error != std::errc{} || end != number.data() + number.size() ||
      !std::isfinite(condition.bound)) {
    refuse(text, "whose limit is no finite number");
  }
  return condition;
}

void describe(core::FieldVisitor& visit, RetrySettings& settings) {
  visit.required("set", settings.set, "overrides of the recipe, such as `train.steps=200`");
}

void validate(const RetrySettings& settings, core::Problems& problems) {
  if (settings.set.empty()) {
    problems.add("set", "is empty: a run with the same settings gives the same result");
  }
}

void describe(core::FieldVisitor& visit, Gate& gate) {
  visit.required("require", gate.require,
                 "what must hold at the end, such as `kl_to_teacher < 0.4` (docs/pipelines.md "
                 "lists the measures)");
  visit("on_failure", gate.on_failure,
        "stop: the run fails before `final/` is written; warn: it goes on; retry: it is done again "
        "with other settings, and stops when they are used up");
  visit("with", gate.with,
        "with `retry`: settings of another try, `{train.steps: 200}`, or a list of them, one for "
        "each further try");
  visit("retries", gate.retries, "with `retry`: how many; as many as `with` has settings");
}

void validate(const Gate& gate, core::Problems& problems) {
  try {
    parse_condition(gate.require);
  } catch (const ConfigError& error) {
    problems.add("require", error.what());
  }
  const bool retries = gate.on_failure == OnFailure::kRetry;
  if (!retries && !gate.with.empty()) problems.add("with", "has an effect with `retry` only");
  if (!retries && gate.retries) problems.add("retries", "has an effect with `retry` only");
  if (retries && gate.with.empty()) {
    problems.add("with", "is missing: a run with the same settings gives the same result");
  }
  if (retries && gate.retries && *gate.retries != std::ssize(gate.with)) {
    problems.add("retries", concat("is ", *gate.retries, ", and `with` has settings for ",
                                   gate.with.size(), "; each try needs its own"));
  }
}

}  // namespace distill::recipe
