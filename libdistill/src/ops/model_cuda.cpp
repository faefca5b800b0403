#include <c10/cuda/CUDAStream.h>

#include <distill/ops/device.h>

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

}  // namespace distill::ops
