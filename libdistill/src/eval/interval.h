#pragma once

#include <functional>
#include <vector>

#include <distill/core/random.h>

namespace distill::eval {

struct Interval {
  double low = 0;
  double high = 0;
};

/// Wilson's 95 % interval (1927) of a share of `trials`; all of [0, 1] where there are none, NaN
/// for a share that is NaN with some.
Interval wilson(double share, double trials);

/// The rows of one bootstrap sample: as many as there are, each drawn from all. The same seed gives
/// the same samples.
class Resampling {
 public:
  static constexpr int kSamples = 1000;
  explicit Resampling(std::size_t num_rows) : num_rows_(num_rows), random_(kSeed) {}
  /// Calls take(row) for each.
  template <class Take>
  void draw(Take&& take) {
    for (std::size_t i = 0; i < num_rows_; ++i) take(random_.below(num_rows_));
  }

 private:
  static constexpr std::uint64_t kSeed = 20220;
  std::size_t num_rows_;
  core::RandomState random_;
};

/// The middle 95 % of the values; those that are NaN are left out, and where most are it is NaN.
Interval middle(std::vector<double> values);

}  // namespace distill::eval
