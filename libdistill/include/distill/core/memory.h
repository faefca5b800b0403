#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace distill::core {

/// Bytes that this process can still take before something is swapped out or killed: what Linux
/// calls MemAvailable (unused memory, and caches that can be dropped), or less where a control
/// group, such as a container's, allows less. Nothing where the system does not say. `root` stands
/// for `/`.
std::optional<std::uint64_t> available_memory(const std::filesystem::path& root = "/");

/// Makes the allocator of this process keep freed blocks of up to 1 GiB instead of giving each back
/// to the system: a loop that takes the same large tensors again and again then gets pages that
/// are there already. For the beginning of a program; false where the system has no such setting.
bool keep_freed_memory();

}  // namespace distill::core
