#pragma once

#include <optional>
#include <vector>

#include <distill/ops/low_rank_linear.h>

#include "ops/stored_weight.h"

namespace distill::ops {

/// One product x W^T of several, checked.
struct LowRankPart {
  StoredWeight weight;
  at::Tensor bias;                ///< or undefined
  std::optional<LowRank> change;  ///< nothing: W as it is
};

/// All products with one x in bf16, by micro-kernels; with a graph where one is wanted. Every part
/// is one that has_linear_brgemm takes.
std::vector<at::Tensor> low_rank_products(const at::Tensor& x,
                                          const std::vector<LowRankPart>& parts);

}  // namespace distill::ops
