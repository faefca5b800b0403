#include <distill/ops/device.h>

#include <ATen/Context.h>

#include "ops/cuda_machine.h"

namespace distill::ops {

namespace {

std::optional<std::string> find_why_no_cuda() {
  if (!at::globalContext().hasCUDART()) {
    return "this LibTorch has no CUDA; build with a LibTorch for CUDA and nvcc";
  }
  if (!has_cuda_kernels()) {
    return "libdistill was built without CUDA; build it with -DDISTILL_CUDA=ON";
  }
  if (!at::hasCUDA()) {
    return "no CUDA device is visible; check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES";
  }
  if (const char* error = why_kernels_do_not_run()) {
    return std::string("libdistill's kernels do not run on the first GPU (") + error +
           "); build it with CMAKE_CUDA_ARCHITECTURES for that GPU, or choose another with "
           "CUDA_VISIBLE_DEVICES";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> why_no_cuda() {
  static const std::optional<std::string> kReason = find_why_no_cuda();
  return kReason;
}

}  // namespace distill::ops
