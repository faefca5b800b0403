#pragma once

#include <cmath>

#include "ops/cpu/divergence_table.h"
#include "ops/cuda/device_code.h"

/// One number with the interface of a vector, so that the divergences of
/// ops/cpu/divergence_terms.inl serve a GPU's threads too. Compiles for the host as well, where the
/// tests run it.
namespace distill::ops::cpu::scalar {

template <class T>
struct Number {
  using Scalar = T;
  T v;
  DISTILL_INLINE static Number broadcast(T x) { return {x}; }
};

using Vec = Number<float>;
using VecDouble = Number<double>;

template <class T>
DISTILL_INLINE Number<T> operator+(Number<T> a, Number<T> b) {
  return {a.v + b.v};
}
template <class T>
DISTILL_INLINE Number<T> operator-(Number<T> a, Number<T> b) {
  return {a.v - b.v};
}
template <class T>
DISTILL_INLINE Number<T> operator*(Number<T> a, Number<T> b) {
  return {a.v * b.v};
}
template <class T>
DISTILL_INLINE Number<T> operator/(Number<T> a, Number<T> b) {
  return {a.v / b.v};
}
template <class T>
DISTILL_INLINE Number<T> operator-(Number<T> a) {
  return {-a.v};
}
template <class T>
DISTILL_INLINE bool operator<(Number<T> a, Number<T> b) {
  return a.v < b.v;
}
template <class T>
DISTILL_INLINE Number<T> select(bool mask, Number<T> yes, Number<T> no) {
  return mask ? yes : no;
}
/// max and min give b where either is NaN.
template <class T>
DISTILL_INLINE Number<T> max(Number<T> a, Number<T> b) {
  return a.v > b.v ? a : b;
}
template <class T>
DISTILL_INLINE Number<T> min(Number<T> a, Number<T> b) {
  return a.v < b.v ? a : b;
}

DISTILL_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {::fmaf(a.v, b.v, c.v)};
}
DISTILL_INLINE VecDouble fma(VecDouble a, VecDouble b, VecDouble c) {
  return {::fma(a.v, b.v, c.v)};
}
DISTILL_INLINE Vec exp(Vec a) {
  return {::expf(a.v)};
}
DISTILL_INLINE VecDouble exp(VecDouble a) {
  return {::exp(a.v)};
}
DISTILL_INLINE Vec expm1(Vec a) {
  return {::expm1f(a.v)};
}
DISTILL_INLINE VecDouble expm1(VecDouble a) {
  return {::expm1(a.v)};
}
DISTILL_INLINE Vec log1p(Vec a) {
  return {::log1pf(a.v)};
}
DISTILL_INLINE VecDouble log1p(VecDouble a) {
  return {::log1p(a.v)};
}
DISTILL_INLINE Vec tanh(Vec a) {
  return {::tanhf(a.v)};
}
DISTILL_INLINE VecDouble tanh(VecDouble a) {
  return {::tanh(a.v)};
}

/// c[0] + x c[1] + x^2 c[2] + ...
template <int N>
DISTILL_INLINE Vec polynomial(Vec x, const float (&c)[N]) {
  Vec r = Vec::broadcast(c[N - 1]);
  for (int i = N - 2; i >= 0; --i) r = fma(r, x, Vec::broadcast(c[i]));
  return r;
}

}  // namespace distill::ops::cpu::scalar

#define DISTILL_ISA scalar
#include "ops/cpu/divergence_terms.inl"
#undef DISTILL_ISA
