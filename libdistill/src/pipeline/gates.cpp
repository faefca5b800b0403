#include "pipeline/gates.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/eval/evaluation_set.h>
#include <distill/eval/set_options.h>
#include <distill/pipeline/measures.h>

namespace distill::pipeline {

using core::concat;
using recipe::OnFailure;

namespace {

/// Why a set cannot be read; empty where it can, or where no file is.
std::optional<std::string> unreadable(const eval::NamedSetOptions& set) {
  try {
    eval::kind_of(set.source());
    return std::nullopt;
  } catch (const FormatError& error) {
    return error.what();
  } catch (const InputError&) {  // told of where inputs are looked for
    return "";
  }
}

}  // namespace

std::vector<std::string> gate_problems(const recipe::Recipe& recipe) {
  if (recipe.gates.empty()) return {};
  // What is measured of some sets hangs on their rows. Gates on a set that cannot be read are left
  // for when it can.
  recipe::Recipe readable = recipe;
  readable.evaluate.sets.clear();
  std::vector<std::string> problems;
  std::vector<std::string> unknown;
  for (std::size_t i = 0; i < recipe.evaluate.sets.size(); ++i) {
    const eval::NamedSetOptions& set = recipe.evaluate.sets[i];
    const auto why = unreadable(set);
    if (!why) {
      readable.evaluate.sets.push_back(set);
      continue;
    }
    if (!why->empty()) {
      problems.push_back(concat(recipe.source.where(concat("evaluate.sets.", i)), ": ", *why));
    }
    for (const recipe::Gate& gate : recipe.gates) {
      const std::string measure = recipe::parse_condition(gate.require).measure;
      if (measure.starts_with(set.name + ".")) unknown.push_back(measure);
    }
  }
  auto names = measured_names(readable);
  names.insert(names.end(), unknown.begin(), unknown.end());
  for (auto& problem : gate_problems(recipe, names)) problems.push_back(std::move(problem));
  return problems;
}

std::vector<std::string> gate_problems(const recipe::Recipe& recipe,
                                       const std::vector<std::string>& names) {
  std::vector<std::string> problems;
  for (std::size_t g = 0; g < recipe.gates.size(); ++g) {
    const std::string measure = recipe::parse_condition(recipe.gates[g].require).measure;
    if (std::ranges::find(names, measure) != names.end()) continue;
    const std::string known = names.empty()
                                  ? "nothing is: give `data.eval`, and leave `evaluate.at_end` on"
                                  : concat("there are ", core::join(names));
    problems.push_back(concat(recipe.source.where(concat("gates.", g, ".require")), ": `",
                              core::printable(measure), "` is not measured",
                              core::did_you_mean(measure, names), "; ", known));
  }
  return problems;
}

void require_gates(const recipe::Recipe& recipe) {
  const auto problems = gate_problems(recipe);
  if (!problems.empty()) throw ConfigError(core::join(problems, "\n"));
}

std::vector<GateResult> judge(const recipe::Recipe& recipe, const Report& report) {
  const auto values = measures(report);
  std::vector<GateResult> results;
  for (const recipe::Gate& gate : recipe.gates) {
    const recipe::GateCondition condition = recipe::parse_condition(gate.require);
    const auto found = values.find(condition.measure);
    const double value =
        found == values.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
    results.push_back({.require = gate.require,
                       .value = value,
                       .holds = condition.holds(value),
                       .on_failure = gate.on_failure});
  }
  return results;
}

namespace {

/// As many digits as one compares by; a gate that fails by less says by how little in its report.
std::string six_digits(double value) {
  std::array<char, 32> text;
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, 6);
  return {text.data(), end.ptr};
}

}  // namespace

std::string gate_line(const GateResult& result) {
  return concat("gate `", core::printable(result.require),
                "`: ", result.holds ? "holds" : "does not hold", ", it is ",
                six_digits(result.value));
}

metrics::Values to_values(const GateResult& result, std::int64_t step) {
  return {{"step", step},
          {"require", result.require},
          {"value", result.value},
          {"holds", std::int64_t{result.holds ? 1 : 0}},
          {"on_failure", std::string(recipe::choice_names(
                             result.on_failure)[static_cast<std::size_t>(result.on_failure)])}};
}

const GateResult* deciding_gate(const std::vector<GateResult>& results) {
  for (const OnFailure action : {OnFailure::kStop, OnFailure::kRetry}) {
    for (const GateResult& result : results) {
      if (!result.holds && result.on_failure == action) return &result;
    }
  }
  return nullptr;
}

}  // namespace distill::pipeline
