#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <distill/ops/device.h>

#include "ops/cuda/probe.h"
#include "ops/cuda_machine.h"
#include "ops/device_queue.h"

namespace distill::ops {

DeviceQueue cuda_queue(at::Device device, const char*) {
  static const cuda::ModelKernels kKernels{cuda::norm_kernels(), cuda::rotary_kernels(),
                                           cuda::swiglu_kernels(), cuda::embedding_kernels(),
                                           cuda::adamw_kernels()};
  return {kKernels, c10::cuda::getCurrentCUDAStream(device.index()).stream()};
}

bool has_cuda_kernels() {
  return true;
}

const char* why_kernels_do_not_run() {
  const c10::cuda::CUDAGuard guard(0);
  return cuda::probe();
}

std::optional<std::uint64_t> free_gpu_memory(at::Device device) {
  if (!device.is_cuda()) return std::nullopt;
  const c10::cuda::OptionalCUDAGuard guard(device);
  std::size_t free = 0, all = 0;
  if (cudaMemGetInfo(&free, &all) == cudaSuccess) return free;
  cudaGetLastError();  // LibTorch's next look for errors is not to find this one
  return std::nullopt;
}

void release_gpu_memory() {
  c10::cuda::CUDACachingAllocator::emptyCache();
}

}  // namespace distill::ops
