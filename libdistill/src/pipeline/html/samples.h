#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/html/curve.h"

namespace distill::pipeline::html {

/// Values that were measured now and then, of a run of any length in bounded memory: each is drawn
/// as it is. Of more than kMostPoints the least and the greatest of every few neighbours are kept,
/// the first and the last: what is drawn was measured, a mean of several never is.
class Samples {
 public:
  static constexpr std::size_t kMostPoints = 480;

  /// False (and nothing is kept) for a negative step, and a value that is not finite or beyond
  /// Curve::kLargest.
  bool add(std::int64_t step, double value);

  bool empty() const { return count_ == 0; }
  std::int64_t count() const { return count_; }  ///< all that were added
  double last() const { return last_.value; }    ///< that was added
  /// In the order in which they came, at most kMostPoints + 2.
  std::vector<Curve::Point> points() const;

 private:
  struct Sample {
    std::int64_t number = 0;  ///< of those that were added
    double step = 0;
    double value = 0;
  };
  /// Neighbours: those that came one after the other.
  struct Group {
    Sample low;
    Sample high;
    void add(const Group& other);
  };

  bool is_full() const;
  void join_pairs();

  std::vector<Group> groups_;
  std::int64_t group_size_ = 1;  ///< of all but the last, which may hold fewer
  std::int64_t count_ = 0;
  Sample first_;
  Sample last_;
};

}  // namespace distill::pipeline::html
