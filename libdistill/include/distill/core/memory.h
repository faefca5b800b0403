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

}  // namespace distill::core
