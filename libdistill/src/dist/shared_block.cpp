#include "dist/shared_block.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <distill/core/error.h>
#include <distill/core/memory.h>

namespace distill::dist::detail {

namespace {

#ifndef F_SEAL_FUTURE_WRITE  // since Linux 5.1
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

constexpr int kFixedSize = F_SEAL_SHRINK | F_SEAL_GROW;

[[noreturn]] void refuse(const char* what, std::uint64_t bytes, int error) {
  fail<IoError>("shared memory: could not ", what, " ", core::human_bytes(bytes), ": ",
                std::strerror(error), "; use fewer rows at a time, or free some memory");
}

/// A file in memory, its room taken at once: what is missing later would end the process.
Descriptor make_file(std::uint64_t bytes) {
  const auto available = core::available_memory();
  if (available && bytes > *available) refuse("take", bytes, ENOMEM);
  Descriptor file(::memfd_create("distill", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) refuse("make a file of", bytes, errno);
  const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
  if (error != 0) refuse("take", bytes, error);
  return file;
}

void seal(const Descriptor& file, int seals, std::uint64_t bytes) {
  if (::fcntl(file.get(), F_ADD_SEALS, seals | F_SEAL_SEAL) != 0) refuse("seal", bytes, errno);
}

}  // namespace

SharedBlock::SharedBlock(Descriptor file, std::uint64_t size, int protection)
    : file_(std::move(file)), size_(size) {
  void* address = ::mmap(nullptr, size, protection, MAP_SHARED, file_.get(), 0);
  if (address == MAP_FAILED) refuse("map", size, errno);
  data_ = static_cast<std::byte*>(address);
}

SharedBlock::~SharedBlock() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

std::shared_ptr<SharedBlock> SharedBlock::create(std::uint64_t bytes) {
  std::shared_ptr<SharedBlock> block(
      new SharedBlock(make_file(bytes), bytes, PROT_READ | PROT_WRITE));
  // Only what is mapped already may be written to; an older kernel has no such seal.
  if (::fcntl(block->descriptor(), F_ADD_SEALS, kFixedSize | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) !=
      0) {
    seal(block->file_, kFixedSize, bytes);
  }
  return block;
}

std::shared_ptr<SharedBlock> SharedBlock::constant(std::span<const std::byte> content) {
  Descriptor file = make_file(content.size());
  for (std::size_t done = 0; done < content.size();) {
    const std::size_t part = std::min<std::size_t>(content.size() - done, std::size_t{1} << 30);
    const ssize_t written =
        ::pwrite(file.get(), content.data() + done, part, static_cast<off_t>(done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) refuse("write", content.size(), errno);
    done += static_cast<std::size_t>(written);
  }
  seal(file, kFixedSize | F_SEAL_WRITE, content.size());
  return std::shared_ptr<SharedBlock>(new SharedBlock(std::move(file), content.size(), PROT_READ));
}

std::shared_ptr<SharedBlock> SharedBlock::open(Descriptor file, std::uint64_t bytes,
                                               bool is_constant, const std::string& who) {
  struct stat facts {};
  const int seals = ::fcntl(file.get(), F_GET_SEALS);
  const int wanted = is_constant ? kFixedSize | F_SEAL_WRITE : kFixedSize;
  if (::fstat(file.get(), &facts) != 0 || seals < 0 || (seals & wanted) != wanted) {
    fail<DistributedError>(who, ": sent a file that is no sealed shared memory");
  }
  if (facts.st_size < 0 || static_cast<std::uint64_t>(facts.st_size) < bytes || bytes == 0) {
    fail<DistributedError>(who, ": shared memory of ", facts.st_size, " bytes, expected at least ",
                           bytes);
  }
  return std::shared_ptr<SharedBlock>(new SharedBlock(std::move(file), bytes, PROT_READ));
}

std::shared_ptr<SharedBlock> SharedBlock::with_size(std::uint64_t bytes,
                                                    const std::string& who) const {
  Descriptor again(::fcntl(file_.get(), F_DUPFD_CLOEXEC, 0));
  if (!again) refuse("map", bytes, errno);
  return open(std::move(again), bytes, /*is_constant=*/false, who);
}

}  // namespace distill::dist::detail
