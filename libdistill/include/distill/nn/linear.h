#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include <distill/nn/adapter.h>
#include <distill/ops/quantized_matrix.h>

namespace distill::nn {

/// y = x W^T + b. Parameters are plain tensors: a model names, loads and lists them.
struct Linear {
  at::Tensor weight;                                   ///< [out, in]; undefined when quantised
  at::Tensor bias;                                     ///< [out], or undefined
  std::optional<Adapter> adapter = {};                 ///< changes W; then W and b are frozen
  std::optional<ops::QuantizedMatrix> quantized = {};  ///< W in few bits; then W and b are frozen

  /// x [N, in] -> [N, out], in the weight's dtype.
  at::Tensor operator()(const at::Tensor& x) const;

  /// The matrix itself, adapter included, in the weight's dtype; no graph to the adapter.
  at::Tensor matrix() const;
  /// W as it is without an adapter: a quantised one is formed anew.
  at::Tensor base_matrix() const { return quantized ? ops::dequantize(*quantized) : weight; }
};

}  // namespace distill::nn
