#pragma once

#include <filesystem>
#include <functional>

namespace distill::data {

/// Held by the one process that builds a cache file; others wait. Ends with the process, however
/// that ends. Where the file system has no locks nothing is held: two builders then write the same
/// bytes, and the later rename wins.
class CacheLock {
 public:
  /// `waiting` is called again and again while another process holds it; what it throws ends the
  /// waiting.
  CacheLock(const std::filesystem::path& path, const std::function<void()>& waiting);
  ~CacheLock();
  CacheLock(const CacheLock&) = delete;
  CacheLock& operator=(const CacheLock&) = delete;

  /// False: there may be other builders at work on the same file.
  bool held() const { return descriptor_ >= 0; }

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace distill::data
