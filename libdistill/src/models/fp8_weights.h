#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "models/fp8_config.h"

namespace distill::models {

/// Fills the rows of `weight` [R, C] (contiguous) that belong to one row of blocks, and returns
/// them: those of 8-bit `stored` [R, C], every element times its block's entry of `scale`
/// [ceil(R / rows), ceil(C / columns)] (fp32), formed in fp32.
at::Tensor dequantise_strip(const at::Tensor& stored, const at::Tensor& scale,
                            const Fp8Block& block, std::int64_t strip, const at::Tensor& weight);

}  // namespace distill::models
