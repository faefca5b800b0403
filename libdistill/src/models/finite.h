#pragma once

#include <ATen/core/Tensor.h>

namespace distill::models {

/// True when no element is NaN or Inf. Contiguous fp32, bf16, fp16 or fp64 on the CPU; runs at
/// about the speed of memory.
bool all_finite(const at::Tensor& tensor);

}  // namespace distill::models
