#include <algorithm>

#include <distill/core/strings.h>

#include "pipeline/html/bar_chart.h"
#include "pipeline/html/look_up.h"
#include "pipeline/html/results.h"
#include "pipeline/html/sections.h"

namespace distill::pipeline::html {

namespace {

using core::concat;
using Items = std::vector<std::pair<std::string, const io::JsonValue*>>;

constexpr std::size_t kMostMeasures = 2;  // of a set
constexpr std::size_t kMostCharts = 8;
constexpr std::size_t kMostNames = 500;  // that are looked at, however many there are

Items categories(const io::JsonValue* measured) {
  return named_items(find(measured, {"categories"}), "category");
}

/// What says most of bias comes first.
int rank(const std::string& name) {
  if (name.find("bias") != std::string::npos) return 0;
  return name.find("stereotype") != std::string::npos ? 1 : 2;
}

/// Names of what is measured of categories; an empty one where they are plain numbers.
std::vector<std::string> measures_of(const Items& items) {
  std::vector<std::string> names;
  for (const auto& [category, item] : items) {
    if (item->is_number() && names.empty()) names.emplace_back();
    for (const auto& [name, value] : members_of(item)) {
      if (!value.is_number() || !is_result(name) || names.size() == kMostNames) continue;
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  std::ranges::stable_sort(names, {}, rank);
  if (names.size() > kMostMeasures) names.resize(kMostMeasures);
  return names;
}

Bar bar_of(const Items& items, const std::string& category, const std::string& name) {
  for (const auto& [key, item] : items) {
    if (key != category) continue;
    if (name.empty()) return {number_at(item, {}), std::nullopt};
    return {number_at(item, {name}), interval_of(item, name)};
  }
  return {};
}

BarChart chart_of(const SetResults& set, const std::string& name) {
  struct Series {
    std::string title;
    Items items;
  };
  std::vector<Series> series;
  for (const auto& [title, source] :
       {std::pair("teacher", set.teacher), std::pair("before", set.before),
        std::pair("after", set.after)}) {
    if (Items items = categories(source); !items.empty()) series.push_back({title, items});
  }
  BarChart chart;
  chart.title = name.empty() ? set.name : concat(set.name, ": ", measure(name).title);
  chart.unit = measure(name).unit;
  if (name == "stereotype_share") chart.neutral = 0.5;
  std::vector<std::string> names;
  for (const auto& one : series) {
    chart.series.push_back(one.title);
    for (const auto& [category, item] : one.items) {
      if (names.size() == kMostNames) break;
      if (std::ranges::find(names, category) == names.end()) names.push_back(category);
    }
  }
  for (const auto& category : names) {
    BarRow row{category, {}};
    for (const auto& one : series) row.bars.push_back(bar_of(one.items, category, name));
    const bool has_interval =
        std::ranges::any_of(row.bars, [](const Bar& bar) { return bar.interval.has_value(); });
    if (has_interval) chart.note = "Lines across the bars are the intervals of report.json";
    chart.rows.push_back(std::move(row));
  }
  return chart;
}

}  // namespace

std::string bias_section(const RunRecord& record) {
  std::string figures;
  std::size_t count = 0;
  for (const auto& set : set_results(record.report)) {
    Items items = categories(set.after);
    if (items.empty()) items = categories(set.before);
    for (const auto& name : measures_of(items)) {
      if (count == kMostCharts) break;
      BarChart chart = chart_of(set, name);
      chart.id = concat("bars", ++count);
      figures += bar_chart(chart);
    }
  }
  if (figures.empty()) return "";
  return section("By category", "<div class=\"charts\">\n" + figures + "</div>\n");
}

}  // namespace distill::pipeline::html
