#pragma once

#include <optional>
#include <span>
#include <vector>

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

/// Each of `layers` with the same x: what calling them one by one gives, with less work where they
/// carry adapters. For projections that read one input.
std::vector<at::Tensor> project_all(std::span<const Linear* const> layers, const at::Tensor& x);

}  // namespace distill::nn
