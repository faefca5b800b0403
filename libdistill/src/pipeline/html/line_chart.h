#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/html/curve.h"
#include "pipeline/html/numbers.h"

namespace distill::pipeline::html {

struct ChartLine {
  std::string name;
  std::vector<Curve::Point> points = {};
  std::optional<double> last = {};  ///< the last value itself, where points are means of many
  int colour = 0;                   ///< of kColours; the first is the main one
  bool spread = false;              ///< least and greatest of each column behind it
  bool smooth = false;              ///< the line is a mean over neighbours
};

/// A horizontal line, as the teacher's value.
struct ChartLevel {
  std::string name;
  double value = 0;
};

struct ChartMarks {
  enum class Kind { kSkipped, kResumed, kDecided } kind = Kind::kSkipped;
  std::vector<Curve::Point> points = {};
};

struct LineChart {
  static constexpr int kColours = 8;

  std::string id;  ///< unique on the page
  std::string title;
  std::string note = {};  ///< a line below the title
  std::vector<ChartLine> lines = {};
  std::vector<ChartLevel> levels = {};
  std::vector<ChartMarks> marks = {};
  Unit unit = Unit::kNumber;
  bool linear = false;  ///< never on a logarithmic scale
  bool dots = false;    ///< a dot with its value at each point
  enum class Size { kWhole, kHalf, kThird } size = Size::kHalf;  ///< of the page's width
};

/// A `figure` with caption, legend and picture; empty when no line has a point.
std::string line_chart(const LineChart& chart);

}  // namespace distill::pipeline::html
