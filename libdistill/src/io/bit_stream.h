#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

/// Numbers of any number of bits, one behind the other; the first bit is the lowest of the first
/// byte.
namespace distill::io {

class BitWriter {
 public:
  explicit BitWriter(std::vector<std::byte>& out) : out_(out) {}

  /// The lowest `count` bits of `value`, at most 32; the others must be 0.
  void put(std::uint64_t value, int count) {
    waiting_ |= value << num_waiting_;
    num_waiting_ += count;
    while (num_waiting_ >= 8) {
      out_.push_back(static_cast<std::byte>(waiting_ & 0xff));
      waiting_ >>= 8;
      num_waiting_ -= 8;
    }
  }

  /// An exponential Golomb code of order `order`: small numbers take few bits, none takes more than
  /// twice its own and `order`. value + 2^order must be below 2^32.
  void put_golomb(std::uint64_t value, int order) {
    const std::uint64_t high = (value >> order) + 1;
    const int zeros = static_cast<int>(std::bit_width(high)) - 1;
    put(0, zeros);
    put(1, 1);
    put(high & ((std::uint64_t{1} << zeros) - 1), zeros);
    put(value & ((std::uint64_t{1} << order) - 1), order);
  }

  /// Zeros up to the next byte.
  void finish() {
    if (num_waiting_ > 0) put(0, 8 - num_waiting_);
  }

 private:
  std::vector<std::byte>& out_;
  std::uint64_t waiting_ = 0;
  int num_waiting_ = 0;
};

/// How many bits put_golomb writes.
inline int golomb_bits(std::uint64_t value, int order) {
  return 2 * static_cast<int>(std::bit_width((value >> order) + 1)) - 1 + order;
}

/// Reads what BitWriter wrote. Behind the end there are zeros, and `overrun` says so: callers look
/// once at the end.
class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> bytes)
      : bytes_(bytes), num_bits_(8 * static_cast<std::uint64_t>(bytes.size())) {}

  std::uint64_t take(int count) {
    const std::uint64_t value = window() & ((std::uint64_t{1} << count) - 1);
    at_ += static_cast<std::uint64_t>(count);
    return value;
  }

  std::uint64_t take_golomb(int order) {
    const std::uint64_t ahead = window() & 0xffffffffu;
    if (ahead == 0) {  // no number has so many zeros
      at_ = num_bits_ + 1;
      return 0;
    }
    const int zeros = std::countr_zero(ahead);
    at_ += static_cast<std::uint64_t>(zeros) + 1;
    const std::uint64_t high = (std::uint64_t{1} << zeros) + take(zeros) - 1;
    return (high << order) + take(order);
  }

  bool overrun() const { return at_ > num_bits_; }
  /// All was read but zeros up to the next byte.
  bool at_end() { return !overrun() && num_bits_ - at_ < 8 && (window() & 0xff) == 0; }

 private:
  /// The next 56 bits or more.
  std::uint64_t window() const {
    const std::uint64_t begin = at_ / 8;
    if (begin >= bytes_.size()) return 0;
    std::uint64_t value = 0;
    const std::size_t count = std::min<std::size_t>(8, bytes_.size() - begin);
    std::memcpy(&value, bytes_.data() + begin, count);
    return value >> (at_ % 8);
  }

  std::span<const std::byte> bytes_;
  std::uint64_t num_bits_;
  std::uint64_t at_ = 0;
};

}  // namespace distill::io
