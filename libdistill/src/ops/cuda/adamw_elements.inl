// AdamW's update and sums of squares, each stretch of elements by a team of threads.

#pragma once

#include "ops/cuda/model_kernels.h"
#include "ops/cuda/packs.inl"

namespace distill::ops::cuda {

/// Packs are of four elements: 16 bytes of fp32, 8 of bf16.
template <class G>
bool are_packed(const cpu::AdamWArgs<G>& a) {
  return is_packed(a.master) && is_packed(a.exp_avg) && is_packed(a.exp_avg_sq) &&
         reinterpret_cast<std::uintptr_t>(a.gradient) % (4 * sizeof(G)) == 0 &&
         reinterpret_cast<std::uintptr_t>(a.compute) % (4 * sizeof(Bf16)) == 0;
}

/// Elements [i, i + kPack).
template <int kPack, class G>
DISTILL_BLOCK void adamw_pack(const cpu::AdamWArgs<G>& a, std::int64_t i) {
  const Numbers<G, kPack> gradient = load<kPack>(a.gradient + i);
  Numbers<float, kPack> m = load<kPack>(a.exp_avg + i);
  Numbers<float, kPack> v = load<kPack>(a.exp_avg_sq + i);
  Numbers<float, kPack> weight = load<kPack>(a.master + i);
  for (int k = 0; k < kPack; ++k) {
    const float g = gradient.v[k] * a.gradient_scale;
    m.v[k] = a.beta1 * m.v[k] + a.one_minus_beta1 * g;
    v.v[k] = a.beta2 * v.v[k] + a.one_minus_beta2 * g * g;
    const float ratio = m.v[k] / (square_root(v.v[k]) * a.rsqrt_correction + a.eps);
    weight.v[k] = weight.v[k] * a.decay - a.step_size * ratio;
  }
  store(a.exp_avg + i, m);
  store(a.exp_avg_sq + i, v);
  store(a.master + i, weight);
  if (a.compute == nullptr) return;
  Numbers<Bf16, kPack> rounded;
  for (int k = 0; k < kPack; ++k) rounded.v[k] = weight.v[k];
  store(a.compute + i, rounded);
}

/// Stretch number `stretch` of `count` elements. What does not fill a pack goes element by element.
template <int kPack, class G, class Team>
DISTILL_BLOCK void adamw_stretch(const Team& team, const cpu::AdamWArgs<G>& a, std::int64_t count,
                                 std::int64_t stretch) {
  const std::int64_t begin = stretch * kStretch;
  const std::int64_t left = count - begin < kStretch ? count - begin : kStretch;
  const std::int64_t whole = left / kPack * kPack;
  for_packs<kPack>(team, whole, [&](std::int64_t i) { adamw_pack<kPack>(a, begin + i); });
  for_packs<1>(team, left - whole, [&](std::int64_t i) { adamw_pack<1>(a, begin + whole + i); });
}

/// parts[stretch] = the sum of squares of a stretch, in double: fp32 squares may overflow.
template <int kPack, class T, class Team>
DISTILL_BLOCK void squares_stretch(const Team& team, const T* x, std::int64_t count,
                                   std::int64_t stretch, double* parts) {
  const std::int64_t begin = stretch * kStretch;
  const std::int64_t left = count - begin < kStretch ? count - begin : kStretch;
  const std::int64_t whole = left / kPack * kPack;
  double sum = 0;
  const auto add = [&](const auto& numbers) {
    for (const float number : numbers.v) {
      sum += static_cast<double>(number) * static_cast<double>(number);
    }
  };
  for_packs<kPack>(team, whole, [&](std::int64_t i) { add(load<kPack>(x + begin + i)); });
  for_packs<1>(team, left - whole, [&](std::int64_t i) { add(load<1>(x + begin + whole + i)); });
  sum = team.sum(sum);
  if (team.thread() == 0) parts[stretch] = sum;
}

}  // namespace distill::ops::cuda
