#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace distill::types {

/// Token sequences laid end to end, without padding. Attention and positions stop at the borders
/// of a segment, so packed sequences compute exactly what separate ones do.
struct ModelInput {
  at::Tensor input_ids;     ///< int64 [N]
  at::Tensor position_ids;  ///< int64 [N]; restarts at 0 in every segment when training
  /// S+1 offsets into [0, N]: segment s is [segments[s], segments[s+1]). First 0, last N.
  std::vector<std::int64_t> segments;
};

/// One segment over all of `ids`, positions 0, 1, 2, ...
ModelInput single_sequence(const at::Tensor& ids);

/// One segment for each entry.
ModelInput pack(const std::vector<std::vector<std::int64_t>>& sequences);

}  // namespace distill::types
