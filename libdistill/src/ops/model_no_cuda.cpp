#include <distill/ops/device.h>

#include "ops/device_queue.h"

// For builds without CUDA.
namespace distill::ops {

DeviceQueue cuda_queue(at::Device device, const char* op) {
  TORCH_CHECK(false, op, ": tensors are on ", device,
              " and this build of libdistill has no CUDA; move them to the CPU, or build with "
              "-DDISTILL_CUDA=ON and a LibTorch that has CUDA");
}

bool has_cuda_kernels() {
  return false;
}

}  // namespace distill::ops
