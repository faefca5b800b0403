#include <distill/ops/device.h>

#include "ops/cuda_machine.h"
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

const char* why_kernels_do_not_run() {
  return nullptr;
}

std::optional<std::uint64_t> free_gpu_memory(at::Device) {
  return std::nullopt;
}

void release_gpu_memory() {}

}  // namespace distill::ops
