#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace distill::types {

/// One named term of a loss, for the log: unweighted sum over the valid tokens, no graph.
struct LossPart {
  std::string name;
  at::Tensor sum;  ///< fp32 scalar
};

/// A loss is a sum and a count; only the trainer divides, by the count of the whole optimizer step
/// over all ranks.
struct LossValue {
  at::Tensor sum;          ///< fp32 scalar with a graph: weighted sum of all terms
  std::int64_t count = 0;  ///< valid tokens it was summed over
  std::vector<LossPart> parts;
};

}  // namespace distill::types
