#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/nn/cached_sequences.h>

namespace distill::nn {

/// Neighbouring sequences that are all new, or all have keys and values already.
struct CachedRun {
  bool is_new = false;
  std::int64_t first_row = 0;          ///< among the rows of all sequences
  std::vector<std::int64_t> segments;  ///< borders of its own rows, from 0
  std::span<KvCache* const> caches;

  /// Its rows of a tensor [N, ...].
  at::Tensor rows_of(const at::Tensor& all) const {
    return all.narrow(0, first_row, segments.back());
  }
};

/// Calls attend(run) for each run of sequences, which gives the run's rows [n, ...], and puts the
/// results together.
at::Tensor attend_in_runs(const CachedSequences& sequences,
                          const std::function<at::Tensor(const CachedRun&)>& attend);

}  // namespace distill::nn
