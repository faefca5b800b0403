#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ops/cat.h>

#include <distill/nn/kv_cache.h>
#include <distill/nn/rotary_table.h>

#include "support/one_sequence.h"

namespace distill::testing {

/// The 21 rows of `x` through an attention block with a cache, some at a time.
template <class Block>
at::Tensor in_cached_pieces(const Block& block, const at::Tensor& x, const nn::RotaryTable& table,
                            nn::KvCache& cache) {
  std::vector<at::Tensor> pieces;
  for (const std::int64_t count : {4, 1, 9, 7}) {
    const std::int64_t begin = cache.length();
    const nn::RotaryTable rows{table.cos.narrow(0, begin, count),
                               table.sin.narrow(0, begin, count)};
    pieces.push_back(
        block.forward_cached(x.narrow(0, begin, count), rows, OneSequence(cache, count), 0));
    cache.advance(count);
  }
  return at::cat(pieces);
}

}  // namespace distill::testing
