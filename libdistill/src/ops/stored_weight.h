#pragma once

#include <optional>
#include <utility>

#include <ATen/core/Tensor.h>

#include <distill/ops/quantized_matrix.h>

#include "ops/cpu/scalar_types.h"
#include "ops/packed_product.h"

namespace distill::ops {

/// A weight [out, in] as it lies or in few bits. Products in bf16 read it a block at a time: a
/// quantised one is never whole in memory.
class StoredWeight {
 public:
  StoredWeight(at::Tensor dense) : dense_(std::move(dense)) {}
  StoredWeight(QuantizedMatrix quantized) : quantized_(std::move(quantized)) {}

  std::int64_t outs() const { return quantized_ ? quantized_->rows : dense_.size(0); }
  std::int64_t ins() const { return quantized_ ? quantized_->columns : dense_.size(1); }
  /// The matrix; a quantised one is formed in `dtype`, one that is there has its own.
  at::Tensor matrix(at::ScalarType dtype) const;
  /// The same, ready for the products below: rows at addresses that can be read in pairs.
  StoredWeight paired() const;

  /// A is `x`, B is the transposed weight. `paired`, and alive until the product is formed; bf16.
  ProductPart times_transposed(const at::Tensor& x) const;
  /// A is `x`, B is the weight.
  ProductPart times(const at::Tensor& x) const;

  const at::Tensor& dense() const { return dense_; }  ///< undefined when quantised
  const std::optional<QuantizedMatrix>& quantized() const { return quantized_; }

 private:
  at::Tensor dense_;
  std::optional<QuantizedMatrix> quantized_;
};

/// True for x [N, in] and weight [out, in] in bf16 (or few bits) and in memory of the CPU, neither
/// of them empty.
bool is_bf16_product(const at::Tensor& x, const StoredWeight& weight);

}  // namespace distill::ops
