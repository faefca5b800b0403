// Functions over the Vec of one instruction set. The file that includes this has included one
// vec_*.h and defined DISTILL_ISA as its namespace.

namespace distill::ops::cpu::DISTILL_ISA {

/// c[0] + x c[1] + x^2 c[2] + ...
template <int N>
DISTILL_INLINE Vec polynomial(Vec x, const float (&c)[N]) {
  Vec r = Vec::broadcast(c[N - 1]);
#pragma GCC unroll 16
  for (int i = N - 2; i >= 0; --i) r = fma(r, x, Vec::broadcast(c[i]));
  return r;
}

/// x = n log 2 + r, |r| <= log(2) / 2.
struct ExpParts {
  Vec n;
  Vec minus_one;  ///< e^r - 1 = r + r^2 p(r), p fitted for least relative error

  DISTILL_INLINE explicit ExpParts(Vec x) {
    constexpr float kP[] = {4.999999347e-01F, 1.666652035e-01F, 4.166838366e-02F, 8.368749596e-03F,
                            1.381490086e-03F};
    const Vec clamped = min(Vec::broadcast(89.0F), max(Vec::broadcast(-104.0F), x));
    n = round(clamped * Vec::broadcast(1.44269504F));
    // log 2 in two parts; the first has few enough bits for n times it to be exact.
    Vec r = fma(n, Vec::broadcast(-0.693359375F), clamped);
    r = fma(n, Vec::broadcast(2.12194440e-4F), r);
    minus_one = fma(r * r, polynomial(r, kP), r);
  }
};

/// e^x within 2 ulp; 0 below -104, infinity above 88.73, NaN for NaN.
DISTILL_INLINE Vec exp(Vec x) {
  const ExpParts parts(x);
  return scale_by_power_of_two(parts.minus_one + Vec::broadcast(1.0F), parts.n);
}

/// e^x - 1 without cancelling near 0; relative error of a few ulp, x <= 88.
DISTILL_INLINE Vec expm1(Vec x) {
  const ExpParts parts(x);
  const Vec one = Vec::broadcast(1.0F);
  const Vec power = scale_by_power_of_two(one, parts.n);
  return fma(power, parts.minus_one, power - one);
}

/// log(2^n (1 + f)) = n log 2 + f - f^2/2 + f^3 q(f), f in [sqrt(1/2) - 1, sqrt(2) - 1].
DISTILL_INLINE Vec log_of_parts(Vec n, Vec f) {
  constexpr float kQ[] = {3.333331262e-01F,  -2.500000957e-01F, 2.000211815e-01F,
                          -1.666799860e-01F, 1.421955912e-01F,  -1.240553626e-01F,
                          1.188808482e-01F,  -1.167594964e-01F, 6.747136448e-02F};
  const Vec f2 = f * f;
  Vec r = f * f2 * polynomial(f, kQ);
  r = fma(n, Vec::broadcast(-2.12194440e-4F), r);
  r = fma(f2, Vec::broadcast(-0.5F), r);
  return fma(n, Vec::broadcast(0.693359375F), r + f);
}

/// x = 2^n m with m in [sqrt(1/2), sqrt(2)]; x > 0 and finite.
DISTILL_INLINE Vec split_near_one(Vec x, Vec& n) {
  const Vec m = split_exponent(x, n);
  const Mask large = Vec::broadcast(1.41421356F) < m;
  n = select(large, n + Vec::broadcast(1.0F), n);
  return select(large, m * Vec::broadcast(0.5F), m);
}

/// Natural logarithm within 2 ulp; -infinity at 0, NaN below 0 and for NaN.
DISTILL_INLINE Vec log(Vec x) {
  const Vec zero = Vec::broadcast(0.0F);
  const Vec infinity = Vec::broadcast(__builtin_inff());
  Vec n;
  const Vec m = split_near_one(x, n);
  Vec r = log_of_parts(n, m - Vec::broadcast(1.0F));
  r = select(x == infinity, infinity, r);
  r = select(x == zero, -infinity, r);
  const Vec valid = select(zero < x, r, select(x == zero, r, Vec::broadcast(__builtin_nanf(""))));
  return select(x == x, valid, x);
}

/// log(1 + x) without cancelling near 0; -1 < x <= 1, a few ulp.
DISTILL_INLINE Vec log1p(Vec x) {
  const Vec one = Vec::broadcast(1.0F);
  Vec n;
  const Vec m = split_near_one(one + x, n);
  return log_of_parts(n, select(n == Vec::broadcast(0.0F), x, m - one));
}

/// 1 / (1 + e^-x)
DISTILL_INLINE Vec sigmoid(Vec x) {
  const Vec one = Vec::broadcast(1.0F);
  return one / (one + exp(-x));
}

/// One double with the interface of Vec: the same kernels serve fp64, which is there for exact
/// references and finite differences, not for speed.
struct VecDouble {
  static constexpr std::int64_t kWidth = 1;
  using Scalar = double;
  double v;
  DISTILL_INLINE static VecDouble broadcast(double x) { return {x}; }
  template <class Lanes>
  DISTILL_INLINE static VecDouble load(const double* p, Lanes) {
    return {*p};
  }
  template <class Lanes>
  DISTILL_INLINE void store(double* p, Lanes) const {
    *p = v;
  }
};

DISTILL_INLINE VecDouble operator+(VecDouble a, VecDouble b) {
  return {a.v + b.v};
}
DISTILL_INLINE VecDouble operator-(VecDouble a, VecDouble b) {
  return {a.v - b.v};
}
DISTILL_INLINE VecDouble operator*(VecDouble a, VecDouble b) {
  return {a.v * b.v};
}
DISTILL_INLINE VecDouble operator/(VecDouble a, VecDouble b) {
  return {a.v / b.v};
}
DISTILL_INLINE VecDouble operator-(VecDouble a) {
  return {-a.v};
}
DISTILL_INLINE VecDouble fma(VecDouble a, VecDouble b, VecDouble c) {
  return {a.v * b.v + c.v};
}
DISTILL_INLINE double sum(VecDouble a) {
  return a.v;
}
DISTILL_INLINE VecDouble sigmoid(VecDouble x) {
  return {1.0 / (1.0 + __builtin_exp(-x.v))};
}

template <class T>
struct VecFor {
  using type = Vec;
};
template <>
struct VecFor<double> {
  using type = VecDouble;
};
/// The vector that holds elements of type T while computing.
template <class T>
using VecOf = typename VecFor<T>::type;

/// Calls body(i, lanes) for each vector of [0, n); the last may be partial.
template <class V, class Body>
DISTILL_INLINE void for_vectors(std::int64_t n, Body body) {
  std::int64_t i = 0;
  for (; i + V::kWidth <= n; i += V::kWidth) body(i, AllLanes{});
  if (i < n) body(i, n - i);
}

}  // namespace distill::ops::cpu::DISTILL_ISA
