#pragma once

#include <ATen/core/Tensor.h>

#include <distill/nn/linear.h>

namespace distill::nn {

/// down(silu(gate(x)) * up(x)) (Shazeer 2020).
struct SwigluMlp {
  Linear gate_proj;  ///< [I, H]
  Linear up_proj;    ///< [I, H]
  Linear down_proj;  ///< [H, I]

  /// x [N, H] -> [N, H].
  at::Tensor operator()(const at::Tensor& x) const;
  /// What down_proj reads: x [N, H] -> [N, I].
  at::Tensor inner(const at::Tensor& x) const;
};

}  // namespace distill::nn
