#include <distill/core/memory.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>

#include <sys/resource.h>

#include <distill/core/checked.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace distill::core {

namespace fs = std::filesystem;

namespace {

using Bytes = std::optional<std::uint64_t>;

/// The decimal number that `text` begins with, after blanks.
Bytes leading_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? Bytes(value) : std::nullopt;
}

/// What stands after `key` at the beginning of a line.
Bytes number_after(const fs::path& file, std::string_view key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key)) return leading_number(std::string_view(line).substr(key.size()));
  }
  return std::nullopt;
}

/// The names of a control group's files: part of the kernel's interface.
struct GroupFiles {
  const char* mount;
  const char* limit;
  const char* usage;
  std::array<const char*, 3> caches;  ///< in memory.stat; null: none
};
constexpr GroupFiles kVersion1 = {"sys/fs/cgroup/memory",
                                  "memory.limit_in_bytes",
                                  "memory.usage_in_bytes",
                                  {"total_inactive_file ", "total_active_file ", nullptr}};
constexpr GroupFiles kVersion2 = {"sys/fs/cgroup",
                                  "memory.max",
                                  "memory.current",
                                  {"inactive_file ", "active_file ", "slab_reclaimable "}};

/// What a group may still take. Its usage counts cached files and, in version 2, the
/// kernel's own caches of names and the like, which are dropped when needed.
Bytes left_in_group(const fs::path& folder, const GroupFiles& files) {
  const Bytes limit = number_after(folder / files.limit, "");  // `max`: none
  const Bytes usage = number_after(folder / files.usage, "");
  if (!limit || !usage) return std::nullopt;
  const fs::path stat = folder / "memory.stat";
  std::uint64_t used = *usage;
  for (const char* cache : files.caches) {
    if (cache != nullptr) used -= std::min(used, number_after(stat, cache).value_or(0));
  }
  return *limit - std::min(*limit, used);
}

/// The smallest of a group and all above it. A container may see its own group as the top.
Bytes left_in_groups(const fs::path& root, const GroupFiles& files, std::string_view group) {
  const fs::path mount = root / files.mount;
  Bytes least;
  for (fs::path path = fs::path(group).relative_path();; path = path.parent_path()) {
    const Bytes left = left_in_group(mount / path, files);
    if (left && (!least || *left < *least)) least = left;
    if (path.empty()) return least;
  }
}

/// Lines are `0::GROUP` (version 2) or `N:CONTROLLERS:GROUP`.
Bytes left_by_groups(const fs::path& root) {
  std::ifstream lines(root / "proc/self/cgroup");
  Bytes least;
  for (std::string line; std::getline(lines, line);) {
    const std::string_view text = line;
    const auto first = text.find(':'), second = text.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const auto controllers = text.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "memory") continue;
    const GroupFiles& files = controllers.empty() ? kVersion2 : kVersion1;
    const Bytes left = left_in_groups(root, files, text.substr(second + 1));
    if (left && (!least || *left < *least)) least = left;
  }
  return least;
}

}  // namespace

std::optional<std::uint64_t> available_memory(const fs::path& root) {
  const Bytes kib = number_after(root / "proc/meminfo", "MemAvailable:");
  const Bytes machine = kib ? checked_mul(*kib, 1024) : std::nullopt;
  const Bytes groups = left_by_groups(root);
  if (!machine || !groups) return machine ? machine : groups;
  return std::min(*machine, *groups);
}

std::optional<std::uint64_t> free_space(const fs::path& path) {
  std::error_code error;
  fs::path there = fs::absolute(path, error);
  while (!error && !fs::exists(there, error) && there.has_relative_path()) {
    there = there.parent_path();
  }
  const auto space = fs::space(there, error);
  return error ? std::nullopt : std::optional<std::uint64_t>(space.available);
}

std::uint64_t peak_memory() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

bool forget_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5";  // part of the kernel's interface: the peak alone
  return static_cast<bool>(file.flush());
}

bool release_freed_memory() {
#if defined(__GLIBC__)
  return ::malloc_trim(0) == 1;
#else
  return false;
#endif
}

bool keep_freed_memory() {
#if defined(__GLIBC__)
  constexpr int kLargest = 1 << 30;
  // The second too: setting the first alone would give the end of the heap back at every turn.
  return mallopt(M_MMAP_THRESHOLD, kLargest) == 1 &&
         mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max()) == 1;
#else
  return false;
#endif
}

}  // namespace distill::core
