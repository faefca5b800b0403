#include <distill/ops/device.h>

#include <ATen/Context.h>

namespace distill::ops {

std::optional<std::string> why_no_cuda() {
  if (!at::globalContext().hasCUDART()) {
    return "this LibTorch has no CUDA; build with a LibTorch for CUDA and nvcc";
  }
  if (!has_cuda_kernels()) {
    return "libdistill was built without CUDA; build it with -DDISTILL_CUDA=ON";
  }
  if (!at::hasCUDA()) {
    return "no CUDA device is visible; check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES";
  }
  return std::nullopt;
}

}  // namespace distill::ops
