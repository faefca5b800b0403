#include "io/byte_source.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include <zlib.h>
#include <zstd.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/paths.h>

namespace distill::io {

namespace {

/// The packed bytes, a piece at a time.
class Input {
 public:
  explicit Input(const std::filesystem::path& path) : file_(path) { fill(); }

  /// What is not used yet; empty only at the end of the file.
  std::span<const std::byte> rest() {
    if (begin_ == end_) fill();
    return std::span(buffer_).subspan(begin_, end_ - begin_);
  }
  void use(std::size_t count) {
    begin_ += count;
    used_ += count;
  }
  std::uint64_t used() const { return used_; }
  std::string name() const { return core::shown(file_.path()); }
  std::string hash() const { return hasher_.hex(); }

 private:
  void fill() {
    begin_ = 0;
    end_ = 0;
    // A short read is no end: the first bytes decide what the file is.
    while (end_ < buffer_.size()) {
      const std::size_t count = file_.read(std::span(buffer_).subspan(end_));
      if (count == 0) break;
      end_ += count;
    }
    hasher_.add(std::span(buffer_).first(end_));
  }

  core::InputFile file_;
  core::Hasher hasher_;
  std::array<std::byte, std::size_t{128} << 10> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t used_ = 0;
};

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(std::unique_ptr<Input> input) : input_(std::move(input)) {}

  std::size_t read(std::span<char> out) override {
    const auto rest = input_->rest();
    const std::size_t count = std::min(out.size(), rest.size());
    if (count > 0) std::memcpy(out.data(), rest.data(), count);
    input_->use(count);
    return count;
  }
  std::uint64_t consumed() const override { return input_->used(); }
  std::string content_hash() const override { return input_->hash(); }

 private:
  std::unique_ptr<Input> input_;
};

[[noreturn]] void fail_stream(const Input& input, const char* kind, std::string_view what) {
  fail<FormatError>(input.name(), ": the ", kind, " stream ", what, " (after ", input.used(),
                    " bytes of the file)");
}

constexpr const char* kCutOff = "ends early: the file was cut off";

/// One or several gzip members, one after the other (RFC 1952).
class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<Input> input) : input_(std::move(input)) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { inflateEnd(&stream_); }

  std::size_t read(std::span<char> out) override {
    out = out.first(std::min<std::size_t>(out.size(), std::size_t{1} << 30));
    while (!done_) {
      const auto rest = input_->rest();
      if (rest.empty()) fail_stream(*input_, "gzip", kCutOff);
      // zlib does not write to what it reads.
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(rest.data()));
      stream_.avail_in = static_cast<uInt>(rest.size());
      stream_.next_out = reinterpret_cast<Bytef*>(out.data());
      stream_.avail_out = static_cast<uInt>(out.size());
      const int status = inflate(&stream_, Z_NO_FLUSH);
      input_->use(rest.size() - stream_.avail_in);
      if (status == Z_MEM_ERROR) throw std::bad_alloc();
      if (status == Z_STREAM_END) {
        next_member();
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        fail_stream(*input_, "gzip", "is damaged");
      }
      const std::size_t count = out.size() - stream_.avail_out;
      if (count > 0) return count;
    }
    return 0;
  }
  std::uint64_t consumed() const override { return input_->used(); }
  std::string content_hash() const override { return input_->hash(); }

 private:
  /// What follows a member is another one, or zeros that a tape was filled up with.
  void next_member() {
    while (!input_->rest().empty() && input_->rest().front() == std::byte{0}) input_->use(1);
    if (input_->rest().empty()) {
      done_ = true;
    } else if (inflateReset(&stream_) != Z_OK) {
      fail_stream(*input_, "gzip", "could not be gone on with");
    }
  }

  std::unique_ptr<Input> input_;
  z_stream stream_{};
  bool done_ = false;
};

/// Any number of zstd frames, skippable ones among them (RFC 8878).
class ZstdSource final : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<Input> input)
      : input_(std::move(input)), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

  std::size_t read(std::span<char> out) override {
    while (true) {
      const auto rest = input_->rest();
      if (rest.empty() && frame_done_) return 0;
      ZSTD_inBuffer from{rest.data(), rest.size(), 0};
      ZSTD_outBuffer to{out.data(), out.size(), 0};
      const std::size_t status = ZSTD_decompressStream(stream_, &to, &from);
      input_->use(from.pos);
      if (ZSTD_isError(status) != 0) {
        fail_stream(*input_, "zstd", core::concat("is damaged: ", ZSTD_getErrorName(status)));
      }
      frame_done_ = status == 0;
      if (to.pos > 0) return to.pos;
      if (rest.empty() && !frame_done_) fail_stream(*input_, "zstd", kCutOff);
    }
  }
  std::uint64_t consumed() const override { return input_->used(); }
  std::string content_hash() const override { return input_->hash(); }

 private:
  std::unique_ptr<Input> input_;
  ZSTD_DStream* stream_;
  bool frame_done_ = true;
};

bool begins_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

bool is_zstd(std::span<const std::byte> bytes) {
  const bool skippable = bytes.size() >= 4 && (bytes[0] & std::byte{0xf0}) == std::byte{0x50} &&
                         begins_with(bytes.subspan(1), "\x2a\x4d\x18");
  return skippable || begins_with(bytes, "\x28\xb5\x2f\xfd");
}

void refuse_other_formats(const Input& input, std::span<const std::byte> bytes) {
  struct Format {
    std::string_view magic;
    const char* name;
  };
  constexpr std::array<Format, 4> kFormats = {{{"\xfd"
                                                "7zXZ",
                                                "an xz file"},
                                               {"BZh", "a bzip2 file"},
                                               {"PK\x03\x04", "a zip archive"},
                                               {"PAR1", "a Parquet file"}}};
  for (const Format& format : kFormats) {
    if (!begins_with(bytes, format.magic)) continue;
    fail<UnsupportedError>(input.name(), ": ", format.name,
                           ", which is not read; give JSON Lines, plain or packed with gzip or "
                           "zstd");
  }
}

}  // namespace

std::unique_ptr<ByteSource> open_byte_source(const std::filesystem::path& path) {
  auto input = std::make_unique<Input>(path);
  const auto first = input->rest();
  if (begins_with(first, "\x1f\x8b")) return std::make_unique<GzipSource>(std::move(input));
  if (is_zstd(first)) return std::make_unique<ZstdSource>(std::move(input));
  refuse_other_formats(*input, first);
  return std::make_unique<PlainSource>(std::move(input));
}

}  // namespace distill::io
