#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "ops/device_queue.h"

namespace distill::ops {

/// The gradient of a table of `num_rows` rows, on the CPU or, with a queue, on its device: grad
/// [N, H] contiguous, summed by `ids` int64 [N].
at::Tensor embedding_backward(const at::Tensor& grad, const at::Tensor& ids, std::int64_t num_rows,
                              const MaybeQueue& queue);

}  // namespace distill::ops
