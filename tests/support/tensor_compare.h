#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace distill::testing {

/// |a - b| / |b| over all elements, in fp64.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().to(at::kDouble), y = b.detach().to(at::kDouble);
  if (x.sizes() != y.sizes()) return 1e30;
  const double scale = y.norm().item<double>();
  const double distance = (x - y).norm().item<double>();
  return scale > 0 ? distance / scale : distance;
}

}  // namespace distill::testing
