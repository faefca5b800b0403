#pragma once

#include <optional>

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>
#include <c10/util/Exception.h>

#include "ops/cuda/model_kernels.h"

namespace distill::ops {

/// A device's kernels and the stream they are started on, the one of the tensors' own operations.
struct DeviceQueue {
  const cuda::ModelKernels& kernels;
  void* stream;
};

/// Nothing: the kernels of the CPU.
using MaybeQueue = std::optional<DeviceQueue>;

/// Of the GPU that is current. Throws c10::Error naming `op` where the library was built without
/// CUDA.
DeviceQueue cuda_queue(at::Device device, const char* op);

/// As long as it lives, the device where an operator's tensors lie is current.
class DeviceScope {
 public:
  DeviceScope(const at::Tensor& tensor, const char* op) : guard_(tensor.device()) {
    if (!tensor.is_cpu()) queue_.emplace(cuda_queue(tensor.device(), op));
  }
  const MaybeQueue& queue() const { return queue_; }

 private:
  c10::DeviceGuard guard_;
  MaybeQueue queue_;
};

/// What a kernel gave when it was started.
inline void check_started(const char* error, const char* op, at::Device device) {
  TORCH_CHECK(error == nullptr, op, ": a kernel could not be started on ", device, ": ", error);
}

}  // namespace distill::ops
