#pragma once

#include <optional>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/ops/dropout.h>
#include <distill/ops/quantized_matrix.h>

namespace distill::ops {

/// The change scale * B A of a frozen matrix (LoRA; Hu et al. 2021, section 4.1). A and B are fp32
/// beside weights in bf16, else of the weights' dtype.
struct LowRank {
  at::Tensor a;  ///< [rank, in]
  at::Tensor b;  ///< [out, rank]
  double scale = 1.0;
  Dropout dropout = {};  ///< of the input, on its way through A only
};

/// x W^T + scale * dropout(x) A^T B^T + bias: x [N, in], weight [out, in], bias [out] or undefined
/// -> [N, out] in x's dtype. Gradients go to x, A and B; W and bias are frozen. bf16 on CPUs with
/// instructions for it goes through one product: the inner [N, rank] is rounded to bf16, the sum of
/// both parts once; gradients of A and B are formed in fp32, and there is no second derivative.
/// Throws c10::Error for shapes or dtypes that do not fit, or a weight that wants a gradient.
at::Tensor low_rank_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           const LowRank& change);

/// The same with a weight in few bits, as ops::linear has it: to the bit what dequantize(weight,
/// x's dtype) gives.
at::Tensor low_rank_linear(const at::Tensor& x, const QuantizedMatrix& weight,
                           const at::Tensor& bias, const LowRank& change);

/// One of several frozen products with the same input.
struct FrozenLinear {
  std::variant<at::Tensor, QuantizedMatrix> weight;  ///< [out, in]
  at::Tensor bias = {};                              ///< [out], or undefined
  std::optional<LowRank> change = {};                ///< nothing: the weight as it is
};

/// low_rank_linear for each of `layers`, to the same bits, with less work: without dropout x meets
/// all A in one product, and the gradient of x is one sum, rounded once. For q, k and v, or gate
/// and up. Throws as low_rank_linear does.
std::vector<at::Tensor> low_rank_linears(const at::Tensor& x,
                                         const std::vector<FrozenLinear>& layers);

}  // namespace distill::ops
