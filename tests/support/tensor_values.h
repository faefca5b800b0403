#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace distill::testing {

/// The elements of a CPU tensor of type T, in order.
template <class T>
std::vector<T> values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  const T* data = flat.data_ptr<T>();
  return std::vector<T>(data, data + flat.numel());
}

}  // namespace distill::testing
