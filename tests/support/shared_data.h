#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace distill::testing {

/// The folder of shared models and data: $DISTILL_SHARED, or `shared` beside the source tree.
/// Nothing when it is not there; tests that need it then skip.
inline std::optional<std::filesystem::path> shared_folder() {
  const char* set = std::getenv("DISTILL_SHARED");
  const std::filesystem::path folder =
      set != nullptr ? std::filesystem::path(set)
                     : std::filesystem::path(DISTILL_SOURCE_DIR) / "../shared";
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) return std::nullopt;
  return folder;
}

}  // namespace distill::testing
