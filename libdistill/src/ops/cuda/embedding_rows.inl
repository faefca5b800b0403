// The gradient of a table of rows: each id's rows are summed by one team of threads.

#pragma once

#include "ops/cuda/model_kernels.h"
#include "ops/cuda/packs.inl"

namespace distill::ops::cuda {

template <class T>
bool are_packed(const EmbeddingGradArgs<T>& a) {
  return is_packed(a.grad, a.width) && is_packed(a.out);
}

/// Does the work of the id at `place` if that is the first of its kind, in the order of the places.
template <int kPack, class T, class Team>
DISTILL_BLOCK void embedding_grad_row(const Team& team, const EmbeddingGradArgs<T>& a,
                                      std::int64_t place) {
  using A = Accumulator<T>;
  const std::int64_t id = a.sorted_ids[place];
  if (place > 0 && a.sorted_ids[place - 1] == id) return;
  for_packs<kPack>(team, a.width, [&](std::int64_t i) {
    Numbers<T, kPack> sum;
    for (int k = 0; k < kPack; ++k) sum.v[k] = A{0};
    for (std::int64_t at = place; at < a.count && a.sorted_ids[at] == id; ++at) {
      const Numbers<T, kPack> row = load<kPack>(a.grad + a.rows[at] * a.width + i);
      for (int k = 0; k < kPack; ++k) sum.v[k] += row.v[k];
    }
    store(a.out + id * a.width + i, sum);
  });
}

}  // namespace distill::ops::cuda
