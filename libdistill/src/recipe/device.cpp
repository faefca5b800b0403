#include <distill/core/error.h>
#include <distill/ops/device.h>
#include <distill/recipe/options.h>

namespace distill::recipe {

at::Device choose_device(Device wanted) {
  const auto reason = wanted == Device::kCpu ? std::nullopt : ops::why_no_cuda();
  if (wanted == Device::kCpu || (wanted == Device::kAuto && reason)) return at::kCPU;
  if (reason) fail<UnsupportedError>("device: `cuda`, but ", *reason, ", or use `cpu`");
  return at::Device(at::kCUDA, 0);
}

}  // namespace distill::recipe
