#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "pipeline/html/axis.h"
#include "pipeline/html/bar_chart.h"
#include "pipeline/html/line_chart.h"
#include "pipeline/html/markup.h"
#include "pipeline/html/numbers.h"
#include "pipeline/html/svg_path.h"
#include "support/html_check.h"
#include "support/svg_points.h"

namespace distill::pipeline::html {
namespace {

using distill::testing::HtmlCheck;
using distill::testing::svg_points;

TEST(Markup, EscapesWhatHasAMeaning) {
  EXPECT_EQ(escaped("<a href=\"x\" b='y'>&"), "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
  EXPECT_EQ(escaped("caf\xc3\xa9 \xf0\x9f\x98\x80\n\t"), "caf\xc3\xa9 \xf0\x9f\x98\x80\n\t");
  EXPECT_EQ(escaped(std::string("a\0b\x1b\x7f", 5)),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(escaped("\xff\xc3"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(escaped("abcdef", 3), "abc&hellip;");
  EXPECT_EQ(escaped("abc", 3), "abc");
  EXPECT_EQ(escaped("ab\xc3\xa9", 3), "ab&hellip;");  // no half character
}

TEST(Markup, LinksHoldPlainCharacters) {
  EXPECT_EQ(link("stages/a b/r.html"), "stages/a%20b/r.html");
  EXPECT_EQ(link("java\"script:<\xc3\xa9"), "java%22script%3A%3C%C3%A9");
}

TEST(Numbers, AreShownAsPeopleWriteThem) {
  EXPECT_EQ(number(8'184'996.3), "8,184,996");
  EXPECT_EQ(number(91.8149), "91.81");
  EXPECT_EQ(number(1234.5), "1234.5");
  EXPECT_EQ(number(-3053), "-3,053");
  EXPECT_EQ(number(0.000012), "1.2e-05");
  EXPECT_EQ(number(0.447, Unit::kShare), "44.7 %");
  EXPECT_EQ(number(std::nan("")), "not finite");
  EXPECT_EQ(number(std::numeric_limits<double>::infinity(), Unit::kShare), "not finite");
  EXPECT_EQ(axis_number(8.2e6), "8.2M");
  EXPECT_EQ(axis_number(20'000), "20k");
  EXPECT_EQ(axis_number(0.00015), "1.5e-4");
  EXPECT_EQ(axis_number(0.0005), "0.0005");
  EXPECT_EQ(axis_number(-2e-10), "-2e-10");
  EXPECT_EQ(axis_number(0.4, Unit::kShare), "40 %");
}

TEST(Numbers, ChangesSayWhatMatters) {
  EXPECT_EQ(change(12.68, 1.358, Unit::kNumber),
            "\xe2\x88\x92"
            "89 %");
  EXPECT_EQ(change(8'184'996, 91.81, Unit::kNumber), "\xc3\xb7 89,151");
  EXPECT_EQ(change(1, 20, Unit::kNumber), "\xc3\x97 20");
  EXPECT_EQ(change(4, 4.2, Unit::kNumber), "+5.0 %");
  EXPECT_EQ(change(0.004, 0.447, Unit::kShare), "+44.3 points");
  EXPECT_EQ(change(3, 3, Unit::kNumber), "the same");
  EXPECT_EQ(change(std::nan(""), 3, Unit::kNumber), "");
  EXPECT_EQ(change(0, 3, Unit::kNumber), "+3");
}

TEST(Numbers, MeasuresAreKnownByTheirNames) {
  EXPECT_EQ(measure("kl_to_teacher").title, "KL to the teacher");
  EXPECT_EQ(measure("kl_to_teacher").better, -1);
  EXPECT_EQ(measure("accuracy_norm").title, "Accuracy, a byte");
  EXPECT_EQ(measure("bias_score_disambiguated").title, "Bias score, disambiguated");
  EXPECT_EQ(measure("answer_accuracy").unit, Unit::kShare);
  EXPECT_EQ(measure("answer_accuracy").better, 1);
  EXPECT_EQ(measure("inaccuracy").unit, Unit::kNumber);
  EXPECT_EQ(measure("some_thing").title, "some thing");
}

TEST(Axis, TicksAreRoundAndInside) {
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{{0, 1},
                                                                        {0, 13},
                                                                        {-3, 7},
                                                                        {1, 280},
                                                                        {0.0012, 0.0019},
                                                                        {1e-9, 2e-9},
                                                                        {5, 5},
                                                                        {0, 0},
                                                                        {-1e90, 1e90},
                                                                        {2, 8e6},
                                                                        {1e-12, 1e100},
                                                                        {0, 1e15}}) {
    const Axis axis = value_axis(low, high);
    EXPECT_GT(axis.high, axis.low);
    EXPECT_LE(axis.low, low);
    EXPECT_GE(axis.high, high);
    const auto ticks = axis.ticks(5);
    EXPECT_GE(ticks.size(), 2u) << low << " " << high;
    EXPECT_LE(ticks.size(), 12u) << low << " " << high;
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      EXPECT_TRUE(std::isfinite(ticks[i]));
      EXPECT_GT(ticks[i], i == 0 ? -1e300 : ticks[i - 1]) << low << " " << high;
    }
  }
  EXPECT_TRUE(value_axis(2, 8e6).logarithmic);
  EXPECT_FALSE(value_axis(1.2, 12).logarithmic);
  EXPECT_EQ(value_axis(1.2, 12).low, 0);
}

TEST(Axis, PixelsGoFromEndToEnd) {
  Axis axis{.low = 1, .high = 100, .logarithmic = true, .from = 200, .to = 0};
  EXPECT_NEAR(axis.pixel(1), 200, 1e-9);
  EXPECT_NEAR(axis.pixel(10), 100, 1e-9);
  EXPECT_NEAR(axis.pixel(100), 0, 1e-9);
  EXPECT_NEAR(axis.pixel(1e9), 0, 1e-9);
  const Axis wide{.low = 1e-300, .high = 1e100, .logarithmic = true, .from = 200, .to = 0};
  EXPECT_NEAR(wide.pixel(1e100), 0, 1e-9);
  EXPECT_NEAR(wide.pixel(1e-100), 100, 1e-9);
  const Axis bars{.low = -1.5e308, .high = 1.5e308, .from = 0, .to = 200};
  EXPECT_NEAR(bars.pixel(0), 100, 1e-9);
}

TEST(SvgPath, RelativeTenthsAddUp) {
  SvgPath path;
  path.move(10, 20.04).line(10.5, 19).line(10.96, 19).line(0, 0);
  EXPECT_EQ(path.text(), "m10 20l.5-1 .5 0-11-19");
  EXPECT_EQ(coordinate(-0.04), "0");
  EXPECT_EQ(coordinate(-0.25), "-.3");
}

LineChart small_chart() {
  LineChart chart{.id = "x", .title = "A & <b>", .lines = {{.name = "\"one\""}, {.name = "two"}}};
  for (int i = 0; i < 50; ++i) {
    chart.lines[0].points.push_back({1.0 * i, 2.0 + i, 1.0 + i, 60.0, 3});
  }
  chart.lines[0].spread = chart.lines[0].smooth = true;
  return chart;
}

TEST(LineChart, IsWellFormedAndSaysItsNumbers) {
  LineChart chart = small_chart();
  chart.levels = {{"teacher", 40}};
  chart.marks = {{ChartMarks::Kind::kSkipped, {{5, 0, 0, 0, 2}}}, {ChartMarks::Kind::kResumed, {}}};
  const std::string text = line_chart(chart);
  const HtmlCheck check(text);
  EXPECT_EQ(check.count("svg"), 1);
  EXPECT_EQ(check.count("desc"), 1);
  // A line without points has neither a path nor an entry.
  EXPECT_EQ(text.find("two"), std::string::npos);
  for (const char* part :
       {"A &amp; &lt;b&gt;", "&quot;one&quot;: 2 at step 0, 51 at step 49; least 1, greatest 60.",
        "2 skipped, not finite", "teacher <b>40</b>"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find("class=\"resumed\""), std::string::npos);
}

TEST(LineChart, EmptyOnesAreLeftOutAndSinglePointsAreNot) {
  LineChart chart{.id = "x", .title = "t", .lines = {{.name = "a"}}};
  EXPECT_EQ(line_chart(chart), "");
  chart.lines[0].points = {{7, 0, 0, 0, 1}};
  chart.dots = true;
  const std::string text = line_chart(chart);
  EXPECT_EQ(HtmlCheck(text).count("circle"), 1);
  EXPECT_EQ(text.find("nan"), std::string::npos) << text;
  EXPECT_EQ(text.find("inf"), std::string::npos) << text;
}

/// Whether the path of a class has a point at the column, at the height of the value, in a chart of
/// the page's whole width whose values go from 0 to 100.
bool reaches(const std::string& svg, const char* css_class, double share_of_width, double value) {
  Axis axis = value_axis(0, 100, /*may_be_logarithmic=*/false);
  axis.from = 310 - 28;
  axis.to = 10;
  const double x = 60 + share_of_width * (1090 - 12 - 60);
  const double y = axis.pixel(value);
  return std::ranges::any_of(svg_points(svg, css_class), [x, y](const auto& point) {
    return std::abs(point.first - x) < 0.2 && std::abs(point.second - y) < 0.2;
  });
}

/// A line that is smoothed, with a single spike of 100 at point 120 of 400.
LineChart spiked_chart(bool spread) {
  LineChart chart{.id = "x", .title = "t", .lines = {{.name = "a"}}};
  chart.size = LineChart::Size::kWhole;
  chart.linear = true;
  for (int i = 0; i <= 400; ++i) {
    const double value = i == 0 ? 0 : i == 120 ? 100 : 10 + i * 37 % 5;
    chart.lines[0].points.push_back({1.0 * i, value, value, value, 1});
  }
  chart.lines[0].smooth = true;
  chart.lines[0].spread = spread;
  return chart;
}

// The mean over neighbours takes a spike of one step down to a fifth; it must be seen all the same.
TEST(LineChart, ASingleSpikeOfASmoothedLineStaysVisible) {
  for (const bool spread : {true, false}) {
    const std::string svg = line_chart(spiked_chart(spread));
    EXPECT_FALSE(reaches(svg, "line s0", 0.3, 100)) << "it is smoothed";
    EXPECT_TRUE(reaches(svg, "raw s0", 0.3, 100)) << spread;
    EXPECT_EQ(svg_points(svg, "line s0").size(), 401u);
  }
  // Nothing else stands out: the stroke has two ends, and that of the beginning.
  EXPECT_LE(svg_points(line_chart(spiked_chart(false)), "raw s0").size(), 4u);
}

TEST(LineChart, ASpikeWithinAColumnOfManyStepsStaysVisible) {
  for (const bool spread : {true, false}) {
    LineChart chart = spiked_chart(spread);
    auto& point = chart.lines[0].points[120];
    point = {120, 12, 10, 100, 1000};  // the mean of its steps does not show it
    const std::string svg = line_chart(chart);
    EXPECT_TRUE(reaches(svg, "raw s0", 0.3, 100)) << spread;
  }
}

TEST(LineChart, NoiseAloneHasNothingThatStandsOut) {
  LineChart chart = spiked_chart(false);
  chart.lines[0].points[120] = {120, 12, 12, 12, 1};
  chart.lines[0].points[0] = {0, 12, 12, 12, 1};
  EXPECT_TRUE(svg_points(line_chart(chart), "raw s0").empty());
}

TEST(BarChart, DrawsValuesAndTheirIntervals) {
  BarChart chart{.id = "b", .title = "Bias", .series = {"before", "after"}};
  chart.rows = {{"<age>", {{0.1, std::pair(-0.1, 0.3)}, {-0.2, std::nullopt}}},
                {"nothing", {{}, {}}}};
  const std::string text = bar_chart(chart);
  const HtmlCheck check(text);
  EXPECT_EQ(check.count("rect"), 2);
  EXPECT_NE(text.find("&lt;age&gt;: before 0.1 [-0.1, 0.3], after -0.2."), std::string::npos)
      << text;
  EXPECT_EQ(text.find("nothing"), std::string::npos);
  chart.rows.clear();
  EXPECT_EQ(bar_chart(chart), "");
}

}  // namespace
}  // namespace distill::pipeline::html
