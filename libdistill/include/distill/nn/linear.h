#pragma once

#include <ATen/core/Tensor.h>

namespace distill::nn {

/// y = x W^T + b. Parameters are plain tensors: a model names, loads and lists them.
struct Linear {
  at::Tensor weight;  ///< [out, in]
  at::Tensor bias;    ///< [out], or undefined

  /// x [N, in] -> [N, out], in the weight's dtype.
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace distill::nn
