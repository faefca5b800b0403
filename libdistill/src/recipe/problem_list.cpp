#include "recipe/problem_list.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <distill/core/error.h>

namespace distill::recipe::detail {

namespace {
constexpr std::size_t kMostLines = 50;
}

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
  const std::string shown = path.empty() ? "" : core::printable(path, 100) + ": ";
  items_.push_back({place, core::concat(where(place), ": ", shown, message)});
}

void ProblemList::throw_if_any() const {
  if (items_.empty()) return;
  auto sorted = items_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Item& a, const Item& b) {
    return std::tie(a.place.override, a.place.line) < std::tie(b.place.override, b.place.line);
  });
  std::string message;
  for (std::size_t i = 0; i < std::min(sorted.size(), kMostLines); ++i) {
    if (i > 0) message += '\n';
    message += sorted[i].line;
  }
  if (sorted.size() > kMostLines) {
    message += core::concat("\n", source_, ": and ", sorted.size() - kMostLines, " more problems");
  }
  throw ConfigError(message);
}

}  // namespace distill::recipe::detail
