#include "ops/stored_weight.h"

#include "ops/packed_codes.h"

namespace distill::ops {
namespace {

bool is_bf16_matrix(const at::Tensor& t) {
  return t.dim() == 2 && t.scalar_type() == at::kBFloat16 && t.device().is_cpu() && t.numel() > 0;
}

bool is_on_cpu(const QuantizedMatrix& m) {
  return m.device().is_cpu() && m.rows > 0 && m.columns > 0;
}

}  // namespace

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

bool is_bf16_product(const at::Tensor& x, const StoredWeight& weight) {
  const bool taken =
      weight.quantized() ? is_on_cpu(*weight.quantized()) : is_bf16_matrix(weight.dense());
  return is_bf16_matrix(x) && taken && x.size(1) == weight.ins();
}

}  // namespace distill::ops
