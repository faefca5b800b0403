#pragma once

#include <vector>

#include <distill/ops/quantized_matrix.h>

namespace distill::ops {

/// The second quantisation of NF4: `scales` of all blocks go into `out` in 8 bits, as whole steps
/// from their mean; 256 of them share the size of a step.
void quantize_scales(const std::vector<float>& scales, QuantizedMatrix& out);

}  // namespace distill::ops
