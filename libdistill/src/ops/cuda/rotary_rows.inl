// Rotary embedding of rows, each by a team of threads.

#pragma once

#include "ops/cuda/model_kernels.h"
#include "ops/cuda/packs.inl"

namespace distill::ops::cuda {

template <class T>
bool are_packed(const cpu::RotaryArgs<T>& a) {
  // A pack of the tables is as many numbers, in two loads or one.
  const bool tables = reinterpret_cast<std::uintptr_t>(a.cos) % 16 == 0 &&
                      reinterpret_cast<std::uintptr_t>(a.sin) % 16 == 0;
  return tables && is_packed(a.x, a.row_stride) && is_packed(a.x, a.head_stride) &&
         is_packed(a.out, a.half);
}

template <int kPack, class T, class Team>
DISTILL_BLOCK void rotary_row(const Team& team, const cpu::RotaryArgs<T>& a, std::int64_t row) {
  using A = Accumulator<T>;
  for_packs<kPack>(team, a.heads * a.half, [&](std::int64_t place) {
    const std::int64_t head = place / a.half, i = place % a.half;
    const T* x = a.x + row * a.row_stride + head * a.head_stride + i;
    T* out = a.out + (row * a.heads + head) * 2 * a.half + i;
    const Numbers<A, kPack> cos = load<kPack>(a.cos + row * a.half + i);
    const Numbers<A, kPack> sin = load<kPack>(a.sin + row * a.half + i);
    const Numbers<T, kPack> first = load<kPack>(x);
    const Numbers<T, kPack> second = load<kPack>(x + a.half);
    Numbers<T, kPack> turned_first, turned_second;
    for (int k = 0; k < kPack; ++k) {
      const A s = sin.v[k] * a.direction;
      turned_first.v[k] = first.v[k] * cos.v[k] - second.v[k] * s;
      turned_second.v[k] = first.v[k] * s + second.v[k] * cos.v[k];
    }
    store(out, turned_first);
    store(out + a.half, turned_second);
  });
}

}  // namespace distill::ops::cuda
