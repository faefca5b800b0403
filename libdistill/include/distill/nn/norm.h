#pragma once

#include <utility>

#include <ATen/core/Tensor.h>

namespace distill::nn {

/// Root-mean-square norm with a learned scale (Zhang and Sennrich 2019).
struct RmsNorm {
  at::Tensor weight;  ///< [H]
  double eps = 1e-5;

  /// x [N, H] -> [N, H].
  at::Tensor operator()(const at::Tensor& x) const;
  /// {norm(residual + x), residual + x} in one pass.
  std::pair<at::Tensor, at::Tensor> add(const at::Tensor& x, const at::Tensor& residual) const;
};

}  // namespace distill::nn
