#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace distill::pipeline::html {

/// How a quantity is shown.
enum class Unit { kNumber, kShare };  ///< a share is shown in percent

/// Four digits, thousands apart; `1.2e-05`.
std::string number(double value, Unit unit = Unit::kNumber);

/// The same in as little room as an axis has: `8.2M`, `40 %`.
std::string axis_number(double value, Unit unit = Unit::kNumber);

/// What is known of a measure by its name in the files.
struct Measure {
  std::string title;  ///< `KL to the teacher`
  Unit unit = Unit::kNumber;
  int better = 0;  ///< -1: less is better, 1: more is, 0: not known
};
/// Of unknown ones `_` becomes a blank.
Measure measure(std::string_view name);

/// `-1.2 to +3.4 points`, of a share; other differences as they are.
std::string change_interval(double low, double high, Unit unit);

/// `-89 %`, or `+44.3 points` of a share.
std::string change(double before, double after, Unit unit);

}  // namespace distill::pipeline::html
