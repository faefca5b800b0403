#pragma once

#include <mutex>
#include <vector>

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// Memory that one call leaves for the next: pages that are fresh from the system must be cleared,
/// which takes up to a tenth of a fused loss. Safe to share between threads; what is in use by one
/// is not given to another.
class Workspace {
 public:
  /// Uninitialised and dense, on the CPU. It is free again when the last tensor on it is gone.
  at::Tensor take(at::IntArrayRef sizes, at::ScalarType type);
  /// Gives back to the system what is not in use.
  void clear();

 private:
  std::mutex mutex_;
  std::vector<at::Tensor> buffers_;  // bytes
};

}  // namespace distill::ops
