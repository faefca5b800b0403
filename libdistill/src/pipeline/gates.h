#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/metrics/sink.h>
#include <distill/pipeline/report.h>
#include <distill/recipe/recipe.h>

namespace distill::pipeline {

/// What is wrong with the gates of a recipe: measures that its run will not have, a line each with
/// where they stand.
std::vector<std::string> gate_problems(const recipe::Recipe& recipe);
/// The same of a run whose measures are known.
std::vector<std::string> gate_problems(const recipe::Recipe& recipe,
                                       const std::vector<std::string>& names);
/// Throws ConfigError with those lines.
void require_gates(const recipe::Recipe& recipe);

/// Every gate of the recipe held against what was measured.
std::vector<GateResult> judge(const recipe::Recipe& recipe, const Report& report);

/// `gate `kl_to_teacher < 0.4`: holds, it is 0.31`.
std::string gate_line(const GateResult& result);
/// What metrics.jsonl holds of it.
metrics::Values to_values(const GateResult& result, std::int64_t step);

/// The gate that decides how it goes on: of those that do not hold one that stops the run, else one
/// that wants another try. Null: it goes on.
const GateResult* deciding_gate(const std::vector<GateResult>& results);

}  // namespace distill::pipeline
