#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace distill::testing {

/// Where the paths of a class go: the points of all their moves and lines, relative as they are
/// written, in pixels.
inline std::vector<std::pair<double, double>> svg_points(const std::string& svg,
                                                         std::string_view css_class) {
  std::vector<std::pair<double, double>> points;
  const std::string head = "<path class=\"" + std::string(css_class) + "\" d=\"";
  for (auto at = svg.find(head); at != std::string::npos; at = svg.find(head, at + 1)) {
    const char* next = svg.c_str() + at + head.size();
    std::pair<double, double> here;
    const auto number = [&next] {
      char* end = nullptr;
      const double value = std::strtod(next, &end);
      next = end == next ? next + 1 : end;
      return value;
    };
    while (*next != '"' && *next != '\0') {
      if (*next == 'm' || *next == 'l' || *next == ' ') {
        ++next;
        continue;
      }
      here.first += number();
      here.second += number();
      points.push_back(here);
    }
  }
  return points;
}

}  // namespace distill::testing
