#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/types/batch.h>

namespace distill::types {

/// Some segments of a batch as a batch of their own.
struct SegmentSelection {
  Batch batch;
  at::Tensor rows;  ///< int64 [M], ascending: where its positions lie in the whole batch
};

/// `segments`: ascending numbers of the batch's segments, at least one. `num_sequences` is theirs.
SegmentSelection select_segments(const Batch& batch, const std::vector<std::int64_t>& segments);

}  // namespace distill::types
