#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "dist/descriptor.h"

namespace distill::dist::detail {

/// Memory that several processes map: a file without a name, which the system frees when the last
/// of them ends, however it ends. It cannot shrink under a reader.
class SharedBlock {
 public:
  /// Writable here, read-only for others. Throws IoError where there is no memory for it.
  static std::shared_ptr<SharedBlock> create(std::uint64_t bytes);
  /// A copy of `content` that nobody can change any more.
  static std::shared_ptr<SharedBlock> constant(std::span<const std::byte> content);
  /// Maps the first `bytes` of a file from another process. Throws DistributedError naming `who`
  /// for one of fewer, or not sealed; `is_constant`: against writing too.
  static std::shared_ptr<SharedBlock> open(Descriptor file, std::uint64_t bytes, bool is_constant,
                                           const std::string& who);
  ~SharedBlock();
  SharedBlock(const SharedBlock&) = delete;
  SharedBlock& operator=(const SharedBlock&) = delete;

  /// More of the same file, mapped anew.
  std::shared_ptr<SharedBlock> with_size(std::uint64_t bytes, const std::string& who) const;

  std::byte* data() const { return data_; }
  std::uint64_t size() const { return size_; }  ///< bytes that are mapped here
  int descriptor() const { return file_.get(); }

 private:
  SharedBlock(Descriptor file, std::uint64_t size, int protection);

  Descriptor file_;
  std::uint64_t size_ = 0;
  std::byte* data_ = nullptr;
};

}  // namespace distill::dist::detail
