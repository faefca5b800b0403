#pragma once

#include <cstdint>

#include <distill/data/dataset.h>
#include <distill/types/batch.h>

namespace distill::eval {

/// Rows [begin, end) as a batch whose input lies on `device`.
types::Batch batch_of(const data::Dataset& dataset, std::int64_t begin, std::int64_t end,
                      at::Device device);

}  // namespace distill::eval
