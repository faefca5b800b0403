#pragma once

#include <ATen/core/Tensor.h>

namespace distill::nn {

/// Rows of a table.
struct Embedding {
  at::Tensor weight;  ///< [V, H]

  /// ids int64 [N], each in [0, V) -> [N, H].
  at::Tensor operator()(const at::Tensor& ids) const;
};

}  // namespace distill::nn
