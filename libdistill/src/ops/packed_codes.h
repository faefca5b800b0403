#pragma once

#include <distill/ops/quantized_matrix.h>

#include "ops/packed_product.h"

/// Products with a quantised matrix: its part of each block becomes bf16 while it is packed.
namespace distill::ops {

/// A is `x`, B is weight^T; both alive until the product is formed. Even widths.
ProductPart times_transposed(const at::Tensor& x, const QuantizedMatrix& weight);

/// A is `x`, B is `matrix` [x.size(1), columns].
ProductPart times(const at::Tensor& x, const QuantizedMatrix& matrix);

}  // namespace distill::ops
