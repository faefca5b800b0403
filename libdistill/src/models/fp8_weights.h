#pragma once

#include <ATen/core/Tensor.h>

#include "models/fp8_config.h"

namespace distill::models {

/// The matrix that 8-bit `stored` [R, C] and `scale` [ceil(R / rows), ceil(C / columns)] stand for:
/// every element times the scale of its block, formed in fp32. A tensor of its own in `dtype`.
at::Tensor dequantise(const at::Tensor& stored, const at::Tensor& scale, const Fp8Block& block,
                      c10::ScalarType dtype);

}  // namespace distill::models
