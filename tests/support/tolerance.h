#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linalg_vector_norm.h>

namespace distill::testing {

/// What a correct computation may be off by, relative; it belongs to the type, not to a test.
struct Tolerance {
  double value;     ///< a loss, formed in fp32 (fp64) whatever the inputs
  double gradient;  ///< a gradient as a whole (norm of the difference / norm)
};

inline Tolerance tolerance_of(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return {1e-12, 1e-11};
    case at::kBFloat16:
      return {2e-5, 5e-3};  // gradients are rounded to bf16
    default:
      return {2e-5, 2e-5};
  }
}

/// |a - b| / |b| as vectors; |a| when b is 0.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().to(at::kDouble);
  const at::Tensor y = b.detach().to(at::kDouble);
  const double size = at::linalg_vector_norm(y).item<double>();
  return at::linalg_vector_norm(x - y).item<double>() / (size > 0 ? size : 1.0);
}

}  // namespace distill::testing
