#pragma once

#include <optional>
#include <string>

namespace distill::ops {

/// Whether the operators were built for NVIDIA's GPUs (DISTILL_CUDA).
bool has_cuda_kernels();

/// Why nothing can run on a GPU here and what to do about it; nothing: it can.
std::optional<std::string> why_no_cuda();

}  // namespace distill::ops
