#pragma once

#include <cstdint>
#include <string>

namespace distill::pipeline {

/// One time that a run went back because its student had forgotten too much.
struct ForgettingReaction {
  std::int64_t step = 0;     ///< where too much was forgotten
  std::int64_t back_to = 0;  ///< where the run went on from; 0: its beginning
  std::string set;           ///< that was worst
  double drop = 0;           ///< its drop, relative to before training; NaN: not finite
};

}  // namespace distill::pipeline
