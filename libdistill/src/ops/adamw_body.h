#pragma once

#include <span>

#include <distill/ops/adamw.h>

#include "ops/device_queue.h"

/// What the operators of ops/adamw.h are made of, on the CPU and, with a queue, on its device.
/// Arguments are checked.
namespace distill::ops {

struct AdamWTensors {
  at::Tensor master, compute, gradient, exp_avg, exp_avg_sq;
};
void adamw_update(const AdamWTensors& tensors, const AdamWStep& options, const MaybeQueue& queue);

/// Of contiguous tensors of one device.
double total_of_squares(std::span<const at::Tensor> tensors, const MaybeQueue& queue);

}  // namespace distill::ops
