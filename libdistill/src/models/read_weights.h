#pragma once

#include <cstdint>
#include <vector>

#include <distill/models/load.h>

#include "models/families.h"
#include "models/match_weights.h"

namespace distill::models {

/// True when the weight can be used (or copied to a GPU) where it lies in the mapped file: the host
/// allocates nothing for it.
bool stays_mapped(const MatchedWeight& match, const LoadOptions& options);

/// True when the weight is to be held in few bits.
bool becomes_quantized(const MatchedWeight& match, const LoadOptions& options);

/// Bytes of the host that `read_weights` will allocate and keep: none for a GPU's models.
std::uint64_t bytes_to_allocate(const std::vector<MatchedWeight>& matches,
                                const LoadOptions& options);

/// Gives every slot its weight in the dtype or format that was asked for, in the order of the files
/// and on all threads; of what is quantised only some 64 MiB are in memory as they were. Pages of a
/// file that were converted leave memory again. Throws FormatError for NaN and Inf, naming the
/// first such tensor by file and place, whatever the threads.
void read_weights(const EmptyModel& model, std::vector<MatchedWeight> matches,
                  const LoadOptions& options);

}  // namespace distill::models
