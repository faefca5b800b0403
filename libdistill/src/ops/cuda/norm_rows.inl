// RMSNorm of rows, each by a team of threads: a warp or a block of a GPU.

#pragma once

#include "ops/cuda/model_kernels.h"
#include "ops/cuda/packs.inl"

namespace distill::ops::cuda {

/// Whether the rows can be read in full packs.
template <class T>
bool are_packed(const cpu::RmsNormArgs<T>& a) {
  return is_packed(a.x, a.width) && is_packed(a.residual) && is_packed(a.weight) &&
         is_packed(a.normed) && is_packed(a.sum);
}
template <class T>
bool are_packed(const cpu::RmsNormGradArgs<T>& a) {
  return is_packed(a.x, a.width) && is_packed(a.weight) && is_packed(a.grad_normed) &&
         is_packed(a.grad_sum) && is_packed(a.grad_x) && is_packed(a.grad_weight);
}

/// As ops/cpu/norm_kernels.inl: a residual is added and the sum rounded before it is normalised.
template <int kPack, class T, class Team>
DISTILL_BLOCK void rms_norm_row(const Team& team, const cpu::RmsNormArgs<T>& a, std::int64_t row) {
  using A = Accumulator<T>;
  const std::int64_t first = row * a.width;
  A squares = 0;
  for_packs<kPack>(team, a.width, [&](std::int64_t i) {
    Numbers<T, kPack> x = load<kPack>(a.x + first + i);
    if (a.residual != nullptr) {
      const Numbers<T, kPack> residual = load<kPack>(a.residual + first + i);
      for (int k = 0; k < kPack; ++k) {
        x.v[k] = to_number(from_number<T>(x.v[k] + residual.v[k]));
      }
      store(a.sum + first + i, x);
    }
    for (int k = 0; k < kPack; ++k) squares += x.v[k] * x.v[k];
  });
  const A mean = static_cast<A>(team.sum(squares)) / static_cast<A>(a.width);
  const A rstd = A{1} / square_root(mean + a.eps);
  if (a.rstd != nullptr && team.thread() == 0) a.rstd[row] = rstd;
  // What this thread wrote and reads again it has written itself.
  const T* source = a.residual == nullptr ? a.x : a.sum;
  for_packs<kPack>(team, a.width, [&](std::int64_t i) {
    Numbers<T, kPack> x = load<kPack>(source + first + i);
    const Numbers<T, kPack> weight = load<kPack>(a.weight + i);
    for (int k = 0; k < kPack; ++k) x.v[k] = x.v[k] * rstd * weight.v[k];
    store(a.normed + first + i, x);
  });
}

/// With g = weight * grad_normed and r = rstd: grad_x = r g - x r^3 mean(g x) + grad_sum; the
/// weight's gradient, grad_normed x r, is added to `sums` [width] unless that is null.
template <int kPack, class T, class Team>
DISTILL_BLOCK void rms_norm_grad_row(const Team& team, const cpu::RmsNormGradArgs<T>& a,
                                     std::int64_t row, Accumulator<T>* sums) {
  using A = Accumulator<T>;
  const std::int64_t first = row * a.width;
  const A rstd = a.rstd[row];
  A dot = 0;
  for_packs<kPack>(team, a.width, [&](std::int64_t i) {
    const Numbers<T, kPack> x = load<kPack>(a.x + first + i);
    const Numbers<T, kPack> grad = load<kPack>(a.grad_normed + first + i);
    const Numbers<T, kPack> weight = load<kPack>(a.weight + i);
    for (int k = 0; k < kPack; ++k) {
      const A slope = grad.v[k] * x.v[k];
      dot += slope * weight.v[k];
      if (sums != nullptr) sums[i + k] += slope * rstd;
    }
  });
  if (a.grad_x == nullptr) return;
  const A mean = static_cast<A>(team.sum(dot)) / static_cast<A>(a.width);
  const A slope = -mean * rstd * rstd * rstd;
  for_packs<kPack>(team, a.width, [&](std::int64_t i) {
    const Numbers<T, kPack> grad = load<kPack>(a.grad_normed + first + i);
    const Numbers<T, kPack> weight = load<kPack>(a.weight + i);
    Numbers<T, kPack> x = load<kPack>(a.x + first + i);
    for (int k = 0; k < kPack; ++k) {
      x.v[k] = grad.v[k] * weight.v[k] * rstd + x.v[k] * slope;
    }
    if (a.grad_sum != nullptr) {
      const Numbers<T, kPack> more = load<kPack>(a.grad_sum + first + i);
      for (int k = 0; k < kPack; ++k) x.v[k] += more.v[k];
    }
    store(a.grad_x + first + i, x);
  });
}

/// The rows of one part. `scratch` [width] is nearer to the team than the part's place in
/// grad_weight; null: the sums are formed there.
template <int kPack, class T, class Team>
DISTILL_BLOCK void rms_norm_grad_part(const Team& team, const cpu::RmsNormGradArgs<T>& a,
                                      const RowParts& parts, std::int64_t part,
                                      Accumulator<T>* scratch) {
  using A = Accumulator<T>;
  A* const out = a.grad_weight == nullptr ? nullptr : a.grad_weight + part * a.width;
  A* const sums = out != nullptr && scratch != nullptr ? scratch : out;
  // A thread touches its own columns only, so nobody waits.
  const auto for_columns = [&](auto body) {
    for_packs<kPack>(team, a.width, [&](std::int64_t i) {
      for (int k = 0; k < kPack; ++k) body(i + k);
    });
  };
  if (sums != nullptr) for_columns([&](std::int64_t i) { sums[i] = A{0}; });
  const std::int64_t begin = part * parts.rows_per_part;
  const std::int64_t behind = begin + parts.rows_per_part;
  const std::int64_t end = behind < parts.rows ? behind : parts.rows;
  for (std::int64_t row = begin; row < end; ++row) rms_norm_grad_row<kPack>(team, a, row, sums);
  if (sums != out) for_columns([&](std::int64_t i) { out[i] = sums[i]; });
}

}  // namespace distill::ops::cuda
