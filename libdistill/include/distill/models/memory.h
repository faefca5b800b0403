#pragma once

#include <cstdint>
#include <optional>

#include <c10/core/Device.h>

namespace distill::models {

/// Bytes that weights can take on `device`: what core::available_memory says of the host, what is
/// free on a GPU. Nothing where the system does not say.
std::optional<std::uint64_t> available_memory(at::Device device);

/// Gives the memory of models that are gone back to the system, on the host and on GPUs, so that
/// the next one is planned with all that is free.
void release_freed_memory();

}  // namespace distill::models
