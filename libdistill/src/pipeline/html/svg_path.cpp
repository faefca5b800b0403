#include "pipeline/html/svg_path.h"

#include <cmath>
#include <cstdlib>

namespace distill::pipeline::html {

namespace {

std::string tenths_text(std::int64_t tenths) {
  std::string text = tenths < 0 ? "-" : "";
  const std::int64_t size = std::abs(tenths);
  if (size >= 10 || size % 10 == 0) text += std::to_string(size / 10);
  if (size % 10 != 0) text += "." + std::to_string(size % 10);
  return text;
}

}  // namespace

std::string coordinate(double value) {
  return tenths_text(std::llround(10 * value));
}

void SvgPath::append(std::int64_t tenths) {
  const std::string number = tenths_text(tenths);
  const bool separated = text_.empty() || text_.back() == 'm' || text_.back() == 'l';
  if (!separated && number.front() != '-') text_ += ' ';
  text_ += number;
}

void SvgPath::append(double x, double y) {
  const std::int64_t new_x = std::llround(10 * x);
  const std::int64_t new_y = std::llround(10 * y);
  append(new_x - x_);
  append(new_y - y_);
  x_ = new_x;
  y_ = new_y;
}

SvgPath& SvgPath::move(double x, double y) {
  // The first one counts from the origin.
  text_ += 'm';
  append(x, y);
  in_lines_ = false;
  return *this;
}

SvgPath& SvgPath::line(double x, double y) {
  if (!in_lines_) text_ += 'l';
  in_lines_ = true;
  append(x, y);
  return *this;
}

}  // namespace distill::pipeline::html
