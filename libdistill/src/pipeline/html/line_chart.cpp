#include "pipeline/html/line_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <distill/core/strings.h>

#include "pipeline/html/axis.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/svg_path.h"

namespace distill::pipeline::html {

namespace {

using Points = std::vector<Curve::Point>;
using core::concat;

constexpr std::size_t kFewPoints = 30;  // are joined as they are

/// The area of the picture that holds the curves.
struct Frame {
  explicit Frame(LineChart::Size size) {
    // About as wide as it is shown, so that letters have the size of the page's.
    constexpr double kWidths[] = {1090, 516, 328};
    constexpr double kHeights[] = {310, 220, 200};
    width = kWidths[static_cast<int>(size)];
    height = kHeights[static_cast<int>(size)];
    right = width - 12;
    bottom = height - 28;
  }
  double width, height;
  double left = 60, top = 10, right, bottom;  // room for `-1.05e-3`
  Axis x, y;
};

void place(Frame& frame, const LineChart& chart) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  frame.x.low = low;
  frame.x.high = high;
  for (const auto& line : chart.lines) {
    for (const auto& point : line.points) {
      low = std::min(low, point.low);
      high = std::max(high, point.high);
      frame.x.low = std::min(frame.x.low, point.step);
      frame.x.high = std::max(frame.x.high, point.step);
    }
  }
  for (const auto& level : chart.levels) {
    low = std::min(low, level.value);
    high = std::max(high, level.value);
  }
  frame.y = value_axis(low, high, chart.unit == Unit::kNumber && !chart.linear);
  if (!(frame.x.high > frame.x.low)) frame.x.high = frame.x.low + 1;
  frame.x.from = frame.left;
  frame.x.to = frame.right;
  frame.y.from = frame.bottom;
  frame.y.to = frame.top;
}

/// Neighbours on each side that a mean is over.
std::size_t smoothing_reach(std::size_t num_points) {
  return num_points / 40 + 1;
}

/// Means over neighbours on both sides, fewer of them near the ends.
std::vector<double> smoothed(const Points& points) {
  const std::size_t reach = smoothing_reach(points.size());
  std::vector<double> means(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t side = std::min({reach, i, points.size() - 1 - i});
    double sum = 0;  // anew for each: behind one huge spike a running sum has no digits left
    for (std::size_t j = i - side; j <= i + side; ++j) sum += points[j].mean;
    means[i] = sum / static_cast<double>(2 * side + 1);
  }
  return means;
}

std::string path(const SvgPath& drawn, const std::string& attributes, const std::string& title) {
  return concat("<path class=\"", attributes, "\" d=\"", drawn.text(), "\"><title>", escaped(title),
                "</title></path>\n");
}

/// Through least and greatest of every column, the nearer one first.
std::string spread(const ChartLine& line, const Frame& frame) {
  SvgPath drawn;
  double before = line.points.front().low;
  drawn.move(frame.x.pixel(line.points.front().step), frame.y.pixel(before));
  for (const auto& point : line.points) {
    const double x = frame.x.pixel(point.step);
    const bool low_first = std::fabs(before - point.low) < std::fabs(before - point.high);
    const double first = low_first ? point.low : point.high;
    const double second = low_first ? point.high : point.low;
    drawn.line(x, frame.y.pixel(first));
    if (second != first) drawn.line(x, frame.y.pixel(second));
    before = second;
  }
  return path(drawn, concat("raw s", line.colour), line.name + ", least and greatest");
}

bool is_smooth(const ChartLine& line) {
  return line.smooth && line.points.size() >= kFewPoints;
}

/// What is drawn as the line itself.
std::vector<double> line_values(const ChartLine& line) {
  if (is_smooth(line)) return smoothed(line.points);
  std::vector<double> values;
  for (const auto& point : line.points) values.push_back(point.mean);
  return values;
}

std::string curve(const ChartLine& line, const std::vector<double>& values, const Frame& frame) {
  SvgPath drawn;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = frame.x.pixel(line.points[i].step);
    const double y = frame.y.pixel(values[i]);
    if (i == 0) {
      drawn.move(x, y);
    } else {
      drawn.line(x, y);
    }
  }
  return path(drawn, concat("line s", line.colour), line.name);
}

/// How far, in pixels, each column's farthest value is from the line.
std::vector<double> distances(const ChartLine& line, const std::vector<double>& values,
                              const Frame& frame) {
  std::vector<double> far;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double y = frame.y.pixel(values[i]);
    far.push_back(
        std::max(y - frame.y.pixel(line.points[i].high), frame.y.pixel(line.points[i].low) - y));
  }
  return far;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// A mean over neighbours hides a step that stands out alone; where nothing else shows least and
/// greatest, a stroke goes from the line to it. The mean near it is moved by it: only the farthest
/// of the neighbours counts.
std::string spikes(const ChartLine& line, const std::vector<double>& values, const Frame& frame) {
  const auto far = distances(line, values, frame);
  const double least = std::max(4.0, 8 * median(far));  // far beyond what is usual
  const std::size_t reach = smoothing_reach(far.size());
  SvgPath drawn;
  for (std::size_t i = 0; i < far.size(); ++i) {
    const auto begin = far.begin() + static_cast<std::ptrdiff_t>(i - std::min(i, reach));
    const auto end = far.begin() + static_cast<std::ptrdiff_t>(std::min(i + reach + 1, far.size()));
    if (!(far[i] > least) || far[i] < *std::max_element(begin, end)) continue;
    const Curve::Point& point = line.points[i];
    const double x = frame.x.pixel(point.step);
    const double y = frame.y.pixel(values[i]);
    const double top = frame.y.pixel(point.high);
    drawn.move(x, y).line(x, y - top == far[i] ? top : frame.y.pixel(point.low));
  }
  if (drawn.text().empty()) return "";
  return path(drawn, concat("raw s", line.colour), line.name + ", what stands out");
}

std::string dots(const ChartLine& line, const Frame& frame, Unit unit) {
  constexpr std::size_t kMostDots = 60;
  std::string out;
  if (line.points.size() > kMostDots) return out;
  for (const auto& point : line.points) {
    out += concat("<circle class=\"dot s", line.colour, "\" cx=\"",
                  coordinate(frame.x.pixel(point.step)), "\" cy=\"",
                  coordinate(frame.y.pixel(point.mean)), "\" r=\"3.2\"><title>", escaped(line.name),
                  ", step ", number(point.step), ": ", number(point.mean, unit),
                  "</title></circle>\n");
  }
  return out;
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return concat("<text x=\"", coordinate(x), "\" y=\"", coordinate(y), "\" text-anchor=\"", anchor,
                "\">", text, "</text>\n");
}

std::string grid(const Frame& frame, Unit unit) {
  std::string out;
  SvgPath lines;
  for (const double tick : frame.y.ticks(5)) {
    const double y = frame.y.pixel(tick);
    lines.move(frame.left, y).line(frame.right, y);
    out += label(frame.left - 7, y + 4, "end", axis_number(tick, unit));
  }
  out += label(frame.left - 7, frame.bottom + 18, "end", "step");
  for (const double tick : frame.x.ticks(frame.width < 400 ? 4 : 6)) {
    if (tick != std::round(tick)) continue;
    const double x = frame.x.pixel(tick);
    // The last label must not run out of the picture.
    const bool at_end = x > frame.right - 14;
    out += label(at_end ? frame.right : x, frame.bottom + 18, at_end ? "end" : "middle",
                 axis_number(tick));
  }
  return concat("<path class=\"grid\" d=\"", lines.text(), "\"/>\n", out);
}

std::string levels(const LineChart& chart, const Frame& frame) {
  std::string out;
  for (const auto& level : chart.levels) {
    const double y = frame.y.pixel(level.value);
    SvgPath drawn;
    drawn.move(frame.left, y).line(frame.right, y);
    out += path(drawn, "level", level.name + ": " + number(level.value, chart.unit));
  }
  return out;
}

std::string mark_path(const ChartMarks& marks, const Frame& frame) {
  SvgPath drawn;
  for (const auto& point : marks.points) {
    const double x = frame.x.pixel(point.step);
    if (marks.kind == ChartMarks::Kind::kSkipped) {
      const double y = frame.bottom;
      drawn.move(x - 3, y).line(x, y - 7).line(x + 3, y).line(x - 3, y);
    } else {
      drawn.move(x, frame.top).line(x, frame.bottom);
    }
  }
  constexpr const char* kClasses[] = {"skipped", "resumed", "decided"};
  return concat("<path class=\"", kClasses[static_cast<int>(marks.kind)], "\" d=\"", drawn.text(),
                "\"/>\n");
}

std::string entry(const std::string& swatch, const std::string& name, const std::string& value) {
  return concat("<li><i class=\"", swatch, "\"></i>", escaped(name),
                value.empty() ? "" : concat(" <b>", value, "</b>"), "</li>");
}

std::int64_t total(const Points& points) {
  std::int64_t count = 0;
  for (const auto& point : points) count += point.count;
  return count;
}

std::string legend(const LineChart& chart, bool logarithmic) {
  std::string items;
  for (const auto& line : chart.lines) {
    const bool said = chart.lines.size() == 1 && line.name == chart.title;
    items += entry(concat("s", line.colour), said ? "last" : line.name,
                   number(line.last.value_or(line.points.back().mean), chart.unit));
  }
  for (const auto& level : chart.levels) {
    items += entry("level", level.name, number(level.value, chart.unit));
  }
  for (const auto& marks : chart.marks) {
    const std::int64_t count = total(marks.points);
    if (marks.kind == ChartMarks::Kind::kSkipped) {
      items += entry("skipped", concat(core::with_thousands(count), " skipped, not finite"), "");
    } else if (marks.kind == ChartMarks::Kind::kResumed) {
      items += entry("resumed", "resumed", "");
    } else {
      items += entry("decided", "gate or reaction", "");
    }
  }
  if (logarithmic) items += "<li class=\"scale\">log scale</li>";
  return "<ul class=\"legend\">" + items + "</ul>\n";
}

/// What somebody is told who does not see the picture.
std::string description(const LineChart& chart, bool logarithmic) {
  std::string out = logarithmic ? "Logarithmic scale." : "";
  for (const auto& line : chart.lines) {
    double low = line.points.front().low;
    double high = line.points.front().high;
    for (const auto& point : line.points) {
      low = std::min(low, point.low);
      high = std::max(high, point.high);
    }
    const auto& first = line.points.front();
    const auto& last = line.points.back();
    out += concat(out.empty() ? "" : " ", escaped(line.name), ": ", number(first.mean, chart.unit),
                  " at step ", number(std::round(first.step)), ", ",
                  number(line.last.value_or(last.mean), chart.unit), " at step ",
                  number(std::round(last.step)), "; least ", number(low, chart.unit), ", greatest ",
                  number(high, chart.unit), ".");
  }
  return out;
}

std::string picture(const LineChart& chart, const Frame& frame) {
  std::string out = grid(frame, chart.unit);
  for (const auto& marks : chart.marks) out += mark_path(marks, frame);
  out += levels(chart, frame);
  for (const auto& line : chart.lines) {
    if (line.spread && line.points.size() >= kFewPoints) out += spread(line, frame);
  }
  // The main line comes last: above the others.
  for (auto line = chart.lines.rbegin(); line != chart.lines.rend(); ++line) {
    const std::vector<double> values = line_values(*line);
    if (is_smooth(*line) && !line->spread) out += spikes(*line, values, frame);
    out += curve(*line, values, frame);
    if (chart.dots) out += dots(*line, frame, chart.unit);
  }
  return out;
}

}  // namespace

std::string line_chart(const LineChart& given) {
  LineChart chart = given;
  std::erase_if(chart.lines, [](const ChartLine& line) { return line.points.empty(); });
  std::erase_if(chart.marks, [](const ChartMarks& marks) { return marks.points.empty(); });
  if (chart.lines.empty()) return "";
  Frame frame(chart.size);
  place(frame, chart);
  const std::string& note = chart.note;
  constexpr const char* kSizes[] = {"whole", "half", "third"};
  return concat("<figure class=\"card ", kSizes[static_cast<int>(chart.size)],
                "\"><figcaption><h3>", escaped(chart.title), "</h3>",
                note.empty() ? "" : concat("<p>", escaped(note), "</p>"), "</figcaption>\n",
                legend(chart, frame.y.logarithmic), "<div class=\"scroll\"><svg viewBox=\"0 0 ",
                frame.width, ' ', frame.height, "\" role=\"img\" aria-labelledby=\"", chart.id,
                "t ", chart.id, "d\"><title id=\"", chart.id, "t\">", escaped(chart.title),
                "</title><desc id=\"", chart.id, "d\">", description(chart, frame.y.logarithmic),
                "</desc>\n", picture(chart, frame), "</svg></div></figure>\n");
}

}  // namespace distill::pipeline::html
