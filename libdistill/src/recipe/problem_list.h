#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "recipe/node.h"

namespace distill::recipe::detail {

/// Everything that is wrong with a recipe, reported together.
class ProblemList {
 public:
  /// `overrides`: as given on the command line, for messages.
  ProblemList(std::string source, std::vector<std::string> overrides);

  /// A value that could not be used. What is written once for all stages is reported once.
  void add(Place place, const std::string& path, const std::string& message);
  /// A key nobody knows: the values around it are still good.
  void add_unknown(Place place, const std::string& path, const std::string& message);

  /// A value that was refused, with its problem, before it was read.
  void count_refused() {
    ++found_;
    ++bad_values_;
  }

  /// One that says where it is itself.
  void add_line(std::string line);

  bool empty() const { return items_.empty(); }
  /// Problems so far of any kind; what is written once for all stages counts for each.
  std::size_t num_found() const { return found_; }
  /// Problems so far that leave a value unset; reading a struct compares it before and after.
  std::size_t num_bad_values() const { return bad_values_; }
  /// One for each problem, in the order of the file; the last counts those past 50.
  std::vector<std::string> lines() const;
  /// Throws one ConfigError with those.
  void throw_if_any() const;
  /// `FILE:LINE`, or which override.
  std::string where(Place place) const;

 private:
  struct Item {
    Place place;
    std::string line;
  };

  std::string source_;
  std::vector<std::string> overrides_;
  std::vector<Item> items_;
  std::size_t found_ = 0;
  std::size_t bad_values_ = 0;
};

}  // namespace distill::recipe::detail
