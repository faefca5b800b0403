// SwiGLU of rows, each by a team of threads.

#pragma once

#include "ops/cuda/model_kernels.h"
#include "ops/cuda/packs.inl"

namespace distill::ops::cuda {

template <class T>
bool are_packed(const cpu::SwigluArgs<T>& a) {
  return is_packed(a.gate, a.gate_stride) && is_packed(a.up, a.up_stride) &&
         is_packed(a.grad, a.width) && is_packed(a.out) && is_packed(a.grad_gate) &&
         is_packed(a.grad_up);
}

template <class A>
DISTILL_BLOCK A sigmoid(A x) {
  return A{1} / (A{1} + exponential(-x));
}

template <int kPack, class T, class Team>
DISTILL_BLOCK void swiglu_row(const Team& team, const cpu::SwigluArgs<T>& a, std::int64_t row) {
  for_packs<kPack>(team, a.width, [&](std::int64_t i) {
    Numbers<T, kPack> x = load<kPack>(a.gate + row * a.gate_stride + i);
    const Numbers<T, kPack> up = load<kPack>(a.up + row * a.up_stride + i);
    for (int k = 0; k < kPack; ++k) x.v[k] = x.v[k] * sigmoid(x.v[k]) * up.v[k];
    store(a.out + row * a.width + i, x);
  });
}

/// silu'(g) = s (1 + g (1 - s)) with s = sigmoid(g).
template <int kPack, class T, class Team>
DISTILL_BLOCK void swiglu_grad_row(const Team& team, const cpu::SwigluArgs<T>& a,
                                   std::int64_t row) {
  using A = Accumulator<T>;
  for_packs<kPack>(team, a.width, [&](std::int64_t i) {
    const std::int64_t place = row * a.width + i;
    const Numbers<T, kPack> gate = load<kPack>(a.gate + row * a.gate_stride + i);
    const Numbers<T, kPack> up = load<kPack>(a.up + row * a.up_stride + i);
    const Numbers<T, kPack> grad = load<kPack>(a.grad + place);
    Numbers<T, kPack> of_gate, of_up;
    for (int k = 0; k < kPack; ++k) {
      const A s = sigmoid(gate.v[k]);
      of_gate.v[k] = grad.v[k] * up.v[k] * s * (A{1} + gate.v[k] * (A{1} - s));
      of_up.v[k] = grad.v[k] * gate.v[k] * s;
    }
    if (a.grad_gate != nullptr) store(a.grad_gate + place, of_gate);
    if (a.grad_up != nullptr) store(a.grad_up + place, of_up);
  });
}

}  // namespace distill::ops::cuda
