#include "pipeline/html/bar_chart.h"

#include <algorithm>
#include <cmath>

#include <distill/core/strings.h>

#include "pipeline/html/axis.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/svg_path.h"

namespace distill::pipeline::html {

namespace {

using core::concat;

constexpr double kWidth = 516, kLeft = 150, kRight = 452, kTop = 6;
constexpr double kBar = 9, kBetweenRows = 12, kAxis = 24;

double row_height(const BarChart& chart) {
  return kBar * static_cast<double>(chart.series.size()) + kBetweenRows;
}

/// Bars begin at 0.
Axis bar_axis(const BarChart& chart) {
  double low = 0;
  double high = 0;
  const auto reach = [&](double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  };
  for (const auto& row : chart.rows) {
    for (const auto& bar : row.bars) {
      if (bar.value) reach(*bar.value);
      if (!bar.interval) continue;
      reach(bar.interval->first);
      reach(bar.interval->second);
    }
  }
  if (chart.neutral) reach(*chart.neutral);
  if (!(high > low)) high = low + 1;
  Axis axis;
  axis.low = low;
  axis.high = high;
  axis.from = kLeft;
  axis.to = kRight;
  return axis;
}

std::string bar(const Bar& bar, double y, std::size_t series, const std::string& title,
                const Axis& axis) {
  const double zero = axis.pixel(0);
  const double end = axis.pixel(*bar.value);
  std::string out =
      concat("<rect class=\"bar b", series, "\" x=\"", coordinate(std::min(zero, end)), "\" y=\"",
             coordinate(y), "\" width=\"", coordinate(std::max(std::fabs(end - zero), 0.5)),
             "\" height=\"", coordinate(kBar - 1), "\"><title>", title, "</title></rect>");
  if (!bar.interval) return out;
  const double middle = y + (kBar - 1) / 2;
  SvgPath whisker;
  for (const double side : {bar.interval->first, bar.interval->second}) {
    whisker.move(axis.pixel(side), middle - 3).line(axis.pixel(side), middle + 3);
  }
  whisker.move(axis.pixel(bar.interval->first), middle);
  whisker.line(axis.pixel(bar.interval->second), middle);
  return out + concat("<path class=\"whisker\" d=\"", whisker.text(), "\"/>");
}

std::string value_text(const Bar& bar, Unit unit) {
  if (!bar.value) return "-";
  std::string text = number(*bar.value, unit);
  if (bar.interval) {
    text += concat(" [", number(bar.interval->first, unit), ", ",
                   number(bar.interval->second, unit), "]");
  }
  return text;
}

/// The name on the left, the last series' value on the right.
std::string drawn_row(const BarChart& chart, const BarRow& row, double y, const Axis& axis) {
  const double middle = y + row_height(chart) / 2 - kBetweenRows / 2 + 4;
  std::string out = concat("<text x=\"", coordinate(kLeft - 8), "\" y=\"", coordinate(middle),
                           "\" text-anchor=\"end\">", escaped(row.name, 22), "</text>");
  for (std::size_t i = 0; i < row.bars.size() && i < chart.series.size(); ++i) {
    if (!row.bars[i].value) continue;
    const std::string title = concat(escaped(row.name), ", ", escaped(chart.series[i]), ": ",
                                     value_text(row.bars[i], chart.unit));
    out += bar(row.bars[i], y + kBar * static_cast<double>(i), i, title, axis);
  }
  if (!row.bars.empty() && row.bars.back().value) {
    out += concat("<text class=\"value\" x=\"", coordinate(kRight + 8), "\" y=\"",
                  coordinate(middle), "\">", number(*row.bars.back().value, chart.unit), "</text>");
  }
  return out + "\n";
}

std::string legend(const BarChart& chart) {
  std::string items;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    items += concat("<li><i class=\"b", i, "\"></i>", escaped(chart.series[i]), "</li>");
  }
  return "<ul class=\"legend\">" + items + "</ul>\n";
}

std::string description(const BarChart& chart) {
  std::string out;
  for (const auto& row : chart.rows) {
    out += escaped(row.name) + ":";
    for (std::size_t i = 0; i < row.bars.size() && i < chart.series.size(); ++i) {
      out += concat(' ', escaped(chart.series[i]), ' ', value_text(row.bars[i], chart.unit),
                    i + 1 < chart.series.size() ? "," : ". ");
    }
  }
  return out;
}

std::string picture(const BarChart& chart, double height) {
  const Axis axis = bar_axis(chart);
  SvgPath grid;
  std::string out;
  for (const double tick : axis.ticks(4)) {
    grid.move(axis.pixel(tick), kTop).line(axis.pixel(tick), height - kAxis);
    out += concat("<text x=\"", coordinate(axis.pixel(tick)), "\" y=\"", coordinate(height - 7),
                  "\" text-anchor=\"middle\">", axis_number(tick, chart.unit), "</text>\n");
  }
  out = concat("<path class=\"grid\" d=\"", grid.text(), "\"/>\n", out);
  double y = kTop + kBetweenRows / 2;
  for (const auto& row : chart.rows) {
    out += drawn_row(chart, row, y, axis);
    y += row_height(chart);
  }
  if (chart.neutral) {
    SvgPath line;
    line.move(axis.pixel(*chart.neutral), kTop).line(axis.pixel(*chart.neutral), height - kAxis);
    out += concat("<path class=\"level\" d=\"", line.text(),
                  "\"><title>neutral: ", number(*chart.neutral, chart.unit), "</title></path>\n");
  }
  return out;
}

}  // namespace

std::string bar_chart(const BarChart& given) {
  BarChart chart = given;
  std::erase_if(chart.rows, [](const BarRow& row) {
    return std::ranges::none_of(row.bars, [](const Bar& bar) { return bar.value.has_value(); });
  });
  if (chart.rows.empty()) return "";
  std::string note = chart.note;
  if (chart.rows.size() > BarChart::kMostRows) {
    note += concat(note.empty() ? "" : "; ", "the first ", BarChart::kMostRows, " of ",
                   chart.rows.size());
    chart.rows.resize(BarChart::kMostRows);
  }
  const double height = kTop + row_height(chart) * static_cast<double>(chart.rows.size()) + kAxis;
  return concat("<figure class=\"card half\"><figcaption><h3>", escaped(chart.title), "</h3>",
                note.empty() ? "" : concat("<p>", escaped(note), "</p>"), "</figcaption>\n",
                legend(chart), "<div class=\"scroll\"><svg viewBox=\"0 0 ", kWidth, ' ', height,
                "\" role=\"img\" aria-labelledby=\"", chart.id, "t ", chart.id, "d\"><title id=\"",
                chart.id, "t\">", escaped(chart.title), "</title><desc id=\"", chart.id, "d\">",
                description(chart), "</desc>\n", picture(chart, height), "</svg></div></figure>\n");
}

}  // namespace distill::pipeline::html
