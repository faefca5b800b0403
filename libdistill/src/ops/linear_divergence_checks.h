#pragma once

#include <span>

#include "ops/linear_divergence_problem.h"

namespace distill::ops {

/// Checks every argument (c10::Error names it and what was seen) and picks the rows that count.
DivergenceProblem checked_problem(const LinearDivergenceInput& input,
                                  std::span<const LogitTerm> terms);

}  // namespace distill::ops
