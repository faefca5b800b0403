#include "recipe/problem_list.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::recipe::detail {

namespace {
constexpr std::size_t kMostLines = 50;

/// `stages.1.train.steps` as `train.steps`.
std::string without_stage(const std::string& path) {
  constexpr std::string_view kStages = "stages.";
  if (!path.starts_with(kStages)) return path;
  const auto dot = path.find('.', kStages.size());
  return dot == std::string::npos ? "" : path.substr(dot + 1);
}

}  // namespace

ProblemList::ProblemList(std::string source, std::vector<std::string> overrides)
    : source_(std::move(source)), overrides_(std::move(overrides)) {}

std::string ProblemList::where(Place place) const {
  if (place.override > 0) {
    std::string text = overrides_.at(static_cast<std::size_t>(place.override - 1));
    // Where the name of a variable is wanted a key may stand by mistake: not for a log.
    const std::size_t equals = text.find('=');
    if (text.substr(0, equals).ends_with("api_key_env")) text.resize(equals);
    return core::concat("override `", core::printable(text, 100), "`");
  }
  return place.line > 0 ? core::concat(source_, ":", place.line) : source_;
}

void ProblemList::add(Place place, const std::string& path, const std::string& message) {
  ++bad_values_;
  add_unknown(place, path, message);
}

void ProblemList::add_unknown(Place place, const std::string& path, const std::string& message) {
  ++found_;
  const std::string own = place.shared ? without_stage(path) : path;
  const std::string shown = own.empty() ? "" : core::printable(own, 100) + ": ";
  std::string line = core::concat(where(place), ": ", shown, message);
  const auto is_same = [&](const Item& item) { return item.line == line; };
  if (place.shared && std::ranges::any_of(items_, is_same)) return;
  items_.push_back({place, std::move(line)});
}

void ProblemList::add_line(std::string line) {
  ++found_;
  ++bad_values_;
  items_.push_back({{}, std::move(line)});
}

std::vector<std::string> ProblemList::lines() const {
  auto sorted = items_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Item& a, const Item& b) {
    return std::tie(a.place.override, a.place.line) < std::tie(b.place.override, b.place.line);
  });
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < std::min(sorted.size(), kMostLines); ++i) {
    lines.push_back(std::move(sorted[i].line));
  }
  if (sorted.size() > kMostLines) {
    lines.push_back(core::concat(source_, ": and ", sorted.size() - kMostLines, " more problems"));
  }
  return lines;
}

void ProblemList::throw_if_any() const {
  if (!items_.empty()) throw ConfigError(core::join(lines(), "\n"));
}

}  // namespace distill::recipe::detail
