#pragma once

#include <ATen/core/Tensor.h>

#include "ops/device_queue.h"

namespace distill::ops {

/// Turns by the angle (direction 1) or back (direction -1), on the CPU or, with a queue, on its
/// device. The tables are contiguous and of the type that is computed in.
at::Tensor rotary_turn(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                       int direction, const MaybeQueue& queue);

}  // namespace distill::ops
