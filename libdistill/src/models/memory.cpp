#include <distill/models/memory.h>

#include <distill/core/memory.h>
#include <distill/ops/device.h>

namespace distill::models {

std::optional<std::uint64_t> available_memory(at::Device device) {
  return device.is_cpu() ? core::available_memory() : ops::free_gpu_memory(device);
}

void release_freed_memory() {
  core::release_freed_memory();
  ops::release_gpu_memory();
}

}  // namespace distill::models
