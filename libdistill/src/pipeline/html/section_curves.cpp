#include <algorithm>
#include <array>

#include <distill/core/strings.h>

#include "pipeline/html/line_chart.h"
#include "pipeline/html/look_up.h"
#include "pipeline/html/results.h"
#include "pipeline/html/sections.h"

namespace distill::pipeline::html {

namespace {

using core::concat;

constexpr std::size_t kMostLines = LineChart::kColours;
constexpr std::size_t kMostCharts = 8;

/// Numbers of steps that are no curves of their own.
bool is_running_total(std::string_view name) {
  constexpr std::array<std::string_view, 6> kTotals = {
      "tokens", "seconds", "data_seconds", "teacher_seconds", "energy_joules", "loss"};
  return std::ranges::find(kTotals, name) != kTotals.end();
}

ChartLine line_of(const RunRecord& record, const std::string& name, int colour) {
  const Curve* curve = record.metrics.steps.find(name);
  ChartLine line{.name = name, .points = {}, .colour = colour};
  if (curve == nullptr || curve->empty()) return line;
  line.points = curve->points();
  line.last = curve->last();
  return line;
}

bool same_values(const ChartLine& a, const ChartLine& b) {
  return std::ranges::equal(a.points, b.points, [](const auto& left, const auto& right) {
    return left.step == right.step && left.mean == right.mean;
  });
}

/// A single term with weight 1 is the loss itself.
LineChart loss_chart(const RunRecord& record) {
  const RunMetrics& metrics = record.metrics;
  LineChart chart{.id = "loss", .title = "Loss", .lines = {line_of(record, "loss", 0)}};
  chart.size = LineChart::Size::kWhole;
  std::size_t left_out = 0;
  for (const auto& term : metrics.terms) {
    if (chart.lines.size() == kMostLines) {
      ++left_out;
      continue;
    }
    ChartLine line = line_of(record, term, static_cast<int>(chart.lines.size()));
    if (metrics.terms.size() == 1 && same_values(line, chart.lines.front())) {
      chart.lines.front().name = term;
      break;
    }
    chart.lines.push_back(std::move(line));
  }
  chart.note = chart.lines.size() > 1 ? "The whole and its terms, before their weights"
                                      : "Of each step, and its mean over neighbours";
  if (left_out > 0) chart.note += concat("; ", left_out, " more terms are not drawn");
  for (auto& line : chart.lines) line.smooth = true;
  chart.lines.front().spread = true;
  using Kind = ChartMarks::Kind;
  chart.marks = {{Kind::kSkipped, metrics.skipped.points()},
                 {Kind::kResumed, metrics.resumed.points()},
                 {Kind::kDecided, metrics.decided.points()}};
  return chart;
}

ChartLine line_of(const std::string& name, const Samples& samples, int colour) {
  return {.name = name, .points = samples.points(), .last = samples.last(), .colour = colour};
}

/// One for each set, as many as there are colours.
std::vector<ChartLine> lines_of(const ByName<Samples>& sets) {
  std::vector<ChartLine> lines;
  for (const auto& [set, samples] : sets.all()) {
    if (lines.size() == kMostLines) break;
    lines.push_back(
        line_of(set.empty() ? "not named" : set, samples, static_cast<int>(lines.size())));
  }
  return lines;
}

/// How often the set was measured that was measured most.
std::int64_t most_of(const ByName<Samples>& sets) {
  std::int64_t most = 0;
  for (const auto& set : sets.all()) most = std::max(most, set.values.count());
  return most;
}

/// Where not all that was measured is drawn the chart says so.
void note_thinning(LineChart& chart, std::int64_t most) {
  if (most <= std::int64_t{Samples::kMostPoints}) return;
  chart.note += concat(chart.note.empty() ? "" : "; ", "Of ", core::with_thousands(most),
                       " measurements the least and the greatest of every few");
}

LineChart drops_chart(const ByName<Samples>& drops, std::optional<double> max_drop) {
  LineChart chart{.id = "drops",
                  .title = "Worse than before training",
                  .lines = lines_of(drops),
                  .unit = Unit::kShare};
  if (max_drop) chart.levels = {{"limit", *max_drop}};
  note_thinning(chart, most_of(drops));
  return chart;
}

LineChart step_chart(const RunRecord& record, const std::string& name, bool smooth) {
  const Measure shown = measure(name);
  LineChart chart{.id = "step-" + name, .title = shown.title, .lines = {line_of(record, name, 0)}};
  chart.unit = shown.unit;
  chart.lines.front().name = shown.title;
  chart.linear = name == "tokens_per_second";
  chart.lines.front().smooth = smooth;
  chart.lines.front().spread = smooth;
  return chart;
}

/// In rows of two, or of three where that leaves no gap.
std::string drawn(std::vector<LineChart>& charts) {
  std::erase_if(charts, [](const LineChart& chart) {
    return std::ranges::all_of(chart.lines, [](const auto& line) { return line.points.empty(); });
  });
  std::string figures;
  for (auto& chart : charts) {
    if (charts.size() % 3 == 0) chart.size = LineChart::Size::kThird;
    figures += line_chart(chart);
  }
  return figures;
}

std::string charts_section(std::string_view title, const std::string& figures) {
  if (figures.empty()) return "";
  return section(title, "<div class=\"charts\">\n" + figures + "</div>\n");
}

/// The teacher's value of a measure, where there is one.
void add_level(LineChart& chart, const RunRecord& record, std::string_view name) {
  for (const auto& result : results(record.report)) {
    // Of itself the teacher has no KL and full agreement: no line to compare with.
    if (result.name != name || !result.set.empty() || !result.teacher) continue;
    if (*result.teacher != 0 && *result.teacher != 1) {
      chart.levels.push_back({"teacher", *result.teacher});
    }
  }
}

/// Of each stage that trained, as many as make a light page.
std::vector<LineChart> loss_charts(const std::vector<StagePage>& stages) {
  std::vector<LineChart> charts;
  std::size_t left_out = 0;
  for (const StagePage& stage : stages) {
    if (stage.loss.empty()) continue;
    if (charts.size() == kMostCharts) {
      ++left_out;
      continue;
    }
    LineChart chart{.id = concat("stage", charts.size()), .title = "Loss of " + stage.name};
    chart.lines = {{.name = "loss",
                    .points = stage.loss.points(),
                    .last = stage.loss.last(),
                    .spread = true,
                    .smooth = true}};
    charts.push_back(std::move(chart));
  }
  if (left_out > 0) charts.back().note = concat(left_out, " more stages are not drawn");
  return charts;
}

}  // namespace

std::string training_section(const RunRecord& record) {
  std::vector<LineChart> charts = loss_charts(record.stages);
  for (const char* name : {"lr", "grad_norm", "tokens_per_second"}) {
    charts.push_back(step_chart(record, name, std::string_view(name) != "lr"));
  }
  std::size_t others = 0;
  for (const auto& [name, curve] : record.metrics.steps.all()) {
    const bool term = std::ranges::find(record.metrics.terms, name) != record.metrics.terms.end();
    const bool known = name == "lr" || name == "grad_norm" || name == "tokens_per_second";
    if (term || known || is_running_total(name) || curve.empty()) continue;
    if (others++ == kMostCharts) break;
    charts.push_back(step_chart(record, name, true));
    charts.back().id = concat("step", others);
  }
  return charts_section("Training", line_chart(loss_chart(record)) + drawn(charts));
}

std::string evaluation_section(const RunRecord& record) {
  std::vector<LineChart> charts;
  for (const auto& [name, samples] : record.metrics.evaluations.all()) {
    if (samples.count() < 2 || name.starts_with("teacher_")) continue;
    if (charts.size() == kMostCharts) break;
    const Measure shown = measure(name);
    LineChart chart{.id = concat("eval", charts.size()),
                    .title = shown.title,
                    .lines = {line_of("student", samples, 0)}};
    chart.unit = shown.unit;
    chart.dots = true;
    note_thinning(chart, samples.count());
    add_level(chart, record, name);
    charts.push_back(std::move(chart));
  }
  return charts_section("Evaluations", drawn(charts));
}

std::string kept_section(const RunRecord& record) {
  const RunMetrics& metrics = record.metrics;
  const ChartMarks decided{ChartMarks::Kind::kDecided, metrics.decided.points()};
  std::vector<LineChart> charts;
  for (const StagePage& stage : record.stages) {
    if (stage.drops.all().empty() || charts.size() == kMostCharts) continue;
    charts.push_back(drops_chart(stage.drops, stage.max_drop));
    charts.back().id = concat("drops", charts.size());
    charts.back().title += " " + stage.name;
  }
  if (!metrics.drops.all().empty()) {
    charts.push_back(drops_chart(metrics.drops, metrics.max_drop));
  }
  for (const auto& [name, sets] : metrics.sets) {
    // Before and after alone are in the table of results.
    if (most_of(sets) <= 2 || charts.size() == kMostCharts) continue;
    charts.push_back({.id = concat("kept", charts.size()),
                      .title = measure(name).title,
                      .lines = lines_of(sets),
                      .unit = measure(name).unit});
    if (sets.all().size() > kMostLines) {
      charts.back().note = concat("The first ", kMostLines, " of ", sets.all().size(), " sets");
    }
    note_thinning(charts.back(), most_of(sets));
  }
  for (auto& chart : charts) {
    chart.dots = true;
    chart.marks = {decided};
  }
  return charts_section("What is kept and what is forgotten", drawn(charts));
}

}  // namespace distill::pipeline::html
