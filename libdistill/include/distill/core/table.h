#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace distill::core {

/// Text in columns, for people: the first column begins at the left, the others as asked.
class Table {
 public:
  enum class Align { kLeft, kRight };

  explicit Table(Align others = Align::kRight) : others_(others) {}
  /// Rows may be of different lengths.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// One line a row, each begun with `indent`, three spaces between columns, none at a line's end.
  std::string text(std::string_view indent = "") const;

 private:
  Align others_;
  std::vector<std::vector<std::string>> rows_;
};

/// `value` with `digits` behind the point, or `not finite`.
std::string fixed(double value, int digits);

}  // namespace distill::core
