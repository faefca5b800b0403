#pragma once

#include <cstdint>

namespace distill::ops::cpu {

/// The smallest multiple of `step` that is not below n; both at least 0, step above.
inline std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

}  // namespace distill::ops::cpu
