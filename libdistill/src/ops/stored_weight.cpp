#include "ops/stored_weight.h"

#include "ops/packed_codes.h"

namespace distill::ops {

at::Tensor StoredWeight::matrix(at::ScalarType dtype) const {
  return quantized_ ? dequantize(*quantized_, dtype) : dense_;
}

StoredWeight StoredWeight::paired() const {
  return quantized_ ? *this : StoredWeight(paired_rows(dense_));
}

ProductPart StoredWeight::times_transposed(const at::Tensor& x) const {
  return quantized_ ? ops::times_transposed(x, *quantized_) : ops::times_transposed(x, dense_);
}

ProductPart StoredWeight::times(const at::Tensor& x) const {
  return quantized_ ? ops::times(x, *quantized_) : ops::times(x, dense_);
}

}  // namespace distill::ops
