#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include <distill/nn/adapter.h>

namespace distill::nn {

/// y = x W^T + b. Parameters are plain tensors: a model names, loads and lists them.
struct Linear {
  at::Tensor weight;                    ///< [out, in]
  at::Tensor bias;                      ///< [out], or undefined
  std::optional<Adapter> adapter = {};  ///< changes W; then W and b are frozen

  /// x [N, in] -> [N, out], in the weight's dtype.
  at::Tensor operator()(const at::Tensor& x) const;

  /// The matrix itself, adapter included, in the weight's dtype; no graph to the adapter.
  at::Tensor matrix() const;
};

}  // namespace distill::nn
