#pragma once

#include <cstdint>
#include <string>

namespace distill::pipeline::html {

/// The `d` of a path in tenths of a pixel, each point relative to the one before: a third of what
/// absolute coordinates take.
class SvgPath {
 public:
  SvgPath& move(double x, double y);
  SvgPath& line(double x, double y);
  const std::string& text() const { return text_; }

 private:
  void append(std::int64_t tenths);
  void append(double x, double y);

  std::string text_;
  std::int64_t x_ = 0;
  std::int64_t y_ = 0;
  bool in_lines_ = false;
};

/// A coordinate with at most one digit behind the point.
std::string coordinate(double value);

}  // namespace distill::pipeline::html
