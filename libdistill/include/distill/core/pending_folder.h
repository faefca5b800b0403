#pragma once

#include <filesystem>

namespace distill::core {

/// A folder that appears whole or not at all: it is filled under a temporary name beside its last
/// one and renamed by `publish`. Without that the destructor removes it.
class PendingFolder {
 public:
  enum class Existing {
    kRefuse,
    kReplace  ///< a folder of that name goes when the new one is whole
  };
  /// Throws InputError when `target` exists and is not to be replaced, or is no folder; IoError
  /// when the folder cannot be made.
  explicit PendingFolder(const std::filesystem::path& target,
                         Existing existing = Existing::kRefuse);
  ~PendingFolder();
  PendingFolder(const PendingFolder&) = delete;
  PendingFolder& operator=(const PendingFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Durable when it returns.
  void publish();

 private:
  std::filesystem::path target_;
  std::filesystem::path path_;
};

}  // namespace distill::core
