#pragma once

#include <cstdint>
#include <vector>

namespace distill::core {

/// A small, fast generator whose whole state is two numbers, so that it can be written to a
/// checkpoint and read back (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014). Not for secrets.
class RandomState {
 public:
  /// `stream` separates uses of one seed (shuffling, dropout, sampling).
  explicit RandomState(std::uint64_t seed, std::uint64_t stream = 0);

  /// Uniform over all 64-bit numbers.
  std::uint64_t next();
  /// Uniform in [0, bound), without bias. `bound` must be positive.
  std::uint64_t below(std::uint64_t bound);
  /// Uniform in [0, 1) with 53 random bits.
  double uniform();

  /// Part of the checkpoint format, do not change.
  struct Raw {
    std::uint64_t state;
    std::uint64_t increment;
    bool operator==(const Raw&) const = default;
  };
  Raw raw() const { return raw_; }
  void set_raw(Raw raw) { raw_ = raw; }

 private:
  Raw raw_;
};

/// A permutation of 0 .. count-1 that depends on nothing but its arguments.
std::vector<std::int64_t> permutation(std::int64_t count, std::uint64_t seed, std::uint64_t stream);

}  // namespace distill::core
