#pragma once

#include <algorithm>
#include <cstdint>

#include <distill/recipe/wiring.h>

/// Estimates are made in doubles, which do not overflow.
namespace distill::pipeline {

inline double count(std::int64_t number) {
  return static_cast<double>(number);
}

inline std::uint64_t bytes(double number) {
  return static_cast<std::uint64_t>(std::clamp(number, 0.0, 1e18));
}

/// Bytes of a value.
inline double width_of(recipe::Precision precision) {
  return count(static_cast<std::int64_t>(c10::elementSize(recipe::dtype_of(precision))));
}

}  // namespace distill::pipeline
