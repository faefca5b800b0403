#pragma once

#include <cstdint>
#include <span>

#include <c10/util/Exception.h>

namespace distill::ops {

/// The borders of packed sequences, as in types::ModelInput, must rise from 0 to `rows`.
inline void check_segments(std::span<const std::int64_t> segments, std::int64_t rows,
                           const char* op) {
  TORCH_CHECK(!segments.empty() && segments.front() == 0 && segments.back() == rows, op,
              ": `segments` runs from ", segments.empty() ? 0 : segments.front(), " to ",
              segments.empty() ? 0 : segments.back(), ", expected 0 to ", rows);
  for (std::size_t s = 1; s < segments.size(); ++s) {
    TORCH_CHECK(segments[s - 1] <= segments[s], op, ": `segments` falls from ", segments[s - 1],
                " to ", segments[s], " at entry ", s);
  }
}

}  // namespace distill::ops
