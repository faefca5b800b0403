#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <c10/core/Device.h>

namespace distill::ops {

/// Whether the operators were built for NVIDIA's GPUs (DISTILL_CUDA).
bool has_cuda_kernels();

/// Why nothing can run on the first GPU here and what to do about it; nothing: it can. A process
/// asks its GPU once.
std::optional<std::string> why_no_cuda();

/// Bytes of a GPU's memory that nobody has taken; nothing where `device` is none, or does not say.
std::optional<std::uint64_t> free_gpu_memory(at::Device device);

/// Gives the memory of tensors that are gone back to the GPUs: LibTorch keeps it for later ones,
/// and to all others it is taken. Nothing happens without CUDA.
void release_gpu_memory();

}  // namespace distill::ops
