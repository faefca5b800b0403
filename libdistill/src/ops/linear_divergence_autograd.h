#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>

#include "ops/linear_divergence_problem.h"

namespace distill::ops {

/// Nothing inside is recorded for backward.
using WithoutAutograd = at::AutoDispatchBelowADInplaceOrView;

/// `total` as a scalar with a graph that gives the gradients in `sums` (an undefined one stands for
/// zeros), multiplied by what comes in.
at::Tensor with_gradients(double total, const LinearDivergenceInput& input,
                          const DivergenceProblem& problem, const DivergenceSums& sums);

}  // namespace distill::ops
