#pragma once

#include <optional>

#include <ATen/core/Tensor.h>

#include <distill/nn/adapter.h>

namespace distill::nn {

/// Rows of a table.
struct Embedding {
  at::Tensor weight;  ///< [V, H]
  /// Of the table W^T [H, V]: `a` is [rank, V], `b` [H, rank], `magnitude` [H]. No dropout.
  std::optional<Adapter> adapter = {};

  /// ids int64 [N], each in [0, V) -> [N, H].
  at::Tensor operator()(const at::Tensor& ids) const;
};

}  // namespace distill::nn
