#pragma once

#include <ATen/core/Tensor.h>

#include <distill/losses/alm.h>

namespace distill::losses {

/// f(p || q) + f(1 - p || 1 - q) of each chunk, fp64 [C], from log-probabilities fp64 [C] that are
/// divided by `temperature` first; differentiable in the student's. A log-probability closer to 0
/// than 1e-7 counts as -1e-7, with the slope there: next to it the student's slope grows without
/// bound, and what the softmax gives back is of that size.
at::Tensor coin_divergence(AlmDivergence divergence, const at::Tensor& teacher,
                           const at::Tensor& student, double temperature);

}  // namespace distill::losses
