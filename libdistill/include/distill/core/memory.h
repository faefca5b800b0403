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

/// Bytes that can still be written below `path`, which need not be there yet. Nothing where the
/// system does not say.
std::optional<std::uint64_t> free_space(const std::filesystem::path& path);

/// The largest resident size of this process, in bytes, since it began or since it was forgotten.
std::uint64_t peak_memory();
/// From now on the peak is counted anew. False where the system does not do it.
bool forget_peak_memory();

/// Gives freed blocks back to the system, also those that `keep_freed_memory` keeps: between works
/// that need memory of other sizes. False where the system has no such call.
bool release_freed_memory();

/// Makes the allocator of this process keep freed blocks of up to 1 GiB instead of giving each back
/// to the system: a loop that takes the same large tensors again and again then gets pages that
/// are there already. For the beginning of a program; false where the system has no such setting.
bool keep_freed_memory();

}  // namespace distill::core
