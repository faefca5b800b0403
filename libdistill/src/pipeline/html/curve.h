#pragma once

#include <cstdint>
#include <vector>

namespace distill::pipeline::html {

/// Values by step, of a run of any length in bounded memory: steps fall into columns of equal
/// width, of which there are at most kMostColumns. A column keeps its least and greatest value, so
/// that a single spike among a million steps stays visible.
class Curve {
 public:
  static constexpr std::size_t kMostColumns = 480;
  static constexpr double kLargest = 1e100;  ///< of values: sums of these are finite

  struct Point {
    double step = 0;  ///< the mean of those in the column
    double mean = 0;
    double low = 0;
    double high = 0;
    std::int64_t count = 0;
  };

  /// False (and nothing is kept) for a negative step, and a value that is not finite or beyond
  /// kLargest.
  bool add(std::int64_t step, double value);

  bool empty() const { return count_ == 0; }
  std::int64_t count() const { return count_; }
  double sum() const { return sum_; }
  double last() const { return last_; }  ///< that was added
  /// Columns that hold something, in their order.
  std::vector<Point> points() const;

 private:
  struct Column {
    double steps = 0;
    double values = 0;
    double low = 0;
    double high = 0;
    std::int64_t count = 0;
    void add(const Column& other);
  };

  std::vector<Column> columns_;
  int width_bits_ = 0;  ///< a column holds 2 ** width_bits_ steps
  std::int64_t count_ = 0;
  double sum_ = 0;
  double last_ = 0;
};

}  // namespace distill::pipeline::html
