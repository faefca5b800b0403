#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// Which elements are dropped: each with probability p, decided by seed and place alone, so that a
/// layer that runs again, or a run that is resumed, drops the same.
struct Dropout {
  double p = 0.0;  ///< in [0, 1); 0: none
  std::uint64_t seed = 0;
};

/// x with each element set to 0 or divided by 1 - p (Srivastava et al. 2014). fp32, bf16 or fp64;
/// the same elements on every device. Throws c10::Error for a p outside [0, 1).
at::Tensor dropout(const at::Tensor& x, const Dropout& options);

}  // namespace distill::ops
