#pragma once

#include "ops/cuda/divergence_kernels.h"
#include "ops/linear_divergence_problem.h"

namespace distill::ops {

/// linear_divergence for a device that runs many threads for each row. Logits of a chunk of rows
/// come from one product for each model; then the kernels' passes; then two more products for the
/// gradients. Everything is queued on `stream` (the device's current one, which the tensors' own
/// operations use), and waited for once, at the end, for the values. Every sum has a fixed order.
DivergenceSums linear_divergence_on_device(const DivergenceProblem& problem,
                                           const cuda::KernelTable& kernels, void* stream);

}  // namespace distill::ops
