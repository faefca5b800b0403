// The divergences, one small struct each, over vectors of ids. P is the teacher's distribution, S
// the student's. A kind whose gradient needs sums over the whole row names them:
//   kReductions   how many
//   reduce(...)   adds a vector of ids to them
//   step(...)     the derivative with respect to the student's logit / temperature
// A kind without reductions adds its value in `step`; for the others it follows from the sums
// (ops/divergence_reductions.cpp). Derivatives of a sum over S itself come as s (h - sum s h), with
// h the derivative in s, where constants in h drop out.

namespace distill::ops::cpu::DISTILL_ISA {

/// Natural logarithms of both models' probabilities.
template <class V>
struct LogProbs {
  V student;
  V teacher;
};

/// What a term knows of the row it is in: kRowParams numbers, whose meaning is the kind's.
template <class V>
struct TermRow {
  V params[kRowParams];
  V teacher_share;  ///< of a mixture
  V smoothing;      ///< cross entropy: label smoothing / ids
  V threshold;      ///< adaptive: log-probability of the teacher where the head begins
};

/// exp(-d) - 1 + d = d^2 (1/2 - d/6 + d^2/24 - ...) for |d| <= 1/4, where the plain form cancels.
DISTILL_INLINE Vec excess_near_zero(Vec d) {
  constexpr float kC[] = {1.0F / 2, -1.0F / 6, 1.0F / 24, -1.0F / 120, 1.0F / 720};
  return d * d * polynomial(d, kC);
}
DISTILL_INLINE VecDouble excess_near_zero(VecDouble d) {
  double term = 1.0;
  double total = 0.0;
  for (int n = 1; n <= 14; ++n) {
    term *= -d.v / n;
    if (n > 1) total += term;
  }
  return {total};
}

/// One id's part of KL(A || B), d = log a - log b, as a (exp(-d) - 1 + d): every part is >= 0, and
/// exactly 0 where both agree; the sum is the divergence because A and B sum to 1.
template <class V>
DISTILL_INLINE V kl_part(V a, V b, V d) {
  const V far = fma(a, d, b - a);
  const V near = a * excess_near_zero(d);
  return select(max(d, -d) < V::broadcast(0.25F), near, far);
}

/// M = share P + (1 - share) S, by how it lies to both; exact where P and S are near each other.
template <class V>
struct Mixture {
  V student;      ///< log(s / m)
  V teacher;      ///< log(p / m)
  V probability;  ///< m

  DISTILL_INLINE Mixture(const LogProbs<V>& log_p, V s, V p, V share) {
    const V zero = V::broadcast(0);
    const V d = log_p.teacher - log_p.student;
    const V smaller = min(d, -d);
    const auto teacher_is_smaller = d < zero;
    const V share_of_smaller = select(teacher_is_smaller, share, V::broadcast(1) - share);
    const V of_larger = -log1p(share_of_smaller * expm1(smaller));
    const V of_smaller = of_larger + smaller;
    student = select(teacher_is_smaller, of_larger, of_smaller);
    teacher = select(teacher_is_smaller, of_smaller, of_larger);
    probability = fma(share, p - s, s);
  }
  /// (p - s) / m, which lies between -1 / (1 - share) and 1 / share.
  DISTILL_INLINE V excess(V s, V p) const {
    return (p - s) / max(probability, V::broadcast(1e-37F));
  }
};

/// KL(P || S). Derivative: s - p.
struct ForwardKl {
  static constexpr bool kNeedsTeacher = true;
  static constexpr int kReductions = 0;
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>&, V& value) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    value = value + kl_part(p, s, log_p.teacher - log_p.student);
    return s - p;
  }
};

/// KL(S || P). Derivative: s (log(s / p) - KL).
struct ReverseKl {
  static constexpr bool kNeedsTeacher = true;
  static constexpr int kReductions = 1;
  template <class V>
  DISTILL_INLINE static void reduce(const LogProbs<V>& log_p, const TermRow<V>&, V* sums) {
    const V d = log_p.student - log_p.teacher;
    sums[0] = sums[0] + kl_part(exp(log_p.student), exp(log_p.teacher), d);
  }
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V&) {
    return exp(log_p.student) * (log_p.student - log_p.teacher - row.params[0]);
  }
};

/// f KL(P || S) + r KL(S || P) with weights f and r of the row; adaptive ones follow from the
/// differences |p - s| among the teacher's likely ids and among the others.
struct BlendedKl {
  static constexpr bool kNeedsTeacher = true;
  static constexpr int kReductions = 4;
  template <class V>
  DISTILL_INLINE static void reduce(const LogProbs<V>& log_p, const TermRow<V>& row, V* sums) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    const V d = log_p.student - log_p.teacher;
    sums[0] = sums[0] + kl_part(s, p, d);
    sums[1] = sums[1] + kl_part(p, s, -d);
    const V gap = max(p - s, s - p);
    const V zero = V::broadcast(0);
    const auto in_tail = log_p.teacher < row.threshold;
    sums[2] = sums[2] + select(in_tail, zero, gap);
    sums[3] = sums[3] + select(in_tail, gap, zero);
  }
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V&) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    const V reverse = s * (log_p.student - log_p.teacher - row.params[0]);
    return fma(row.params[1], s - p, row.params[2] * reverse);
  }
};

/// b KL(P || M) + (1 - b) KL(S || M), M = b P + (1 - b) S. Derivative: (1 - b) s (log(s / m) -
/// KL(S || M)).
struct Jsd {
  static constexpr bool kNeedsTeacher = true;
  static constexpr int kReductions = 2;
  template <class V>
  DISTILL_INLINE static void reduce(const LogProbs<V>& log_p, const TermRow<V>& row, V* sums) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    const Mixture<V> m(log_p, s, p, row.teacher_share);
    sums[0] = sums[0] + kl_part(s, m.probability, m.student);
    sums[1] = sums[1] + kl_part(p, m.probability, m.teacher);
  }
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V&) {
    const V s = exp(log_p.student);
    const Mixture<V> m(log_p, s, s, row.teacher_share);
    return (V::broadcast(1) - row.teacher_share) * s * (m.student - row.params[0]);
  }
};

/// KL(P || M), M = a P + (1 - a) S. With e = (p - s) / m the derivative is -(1 - a)^2 s (e - sum s
/// e).
struct SkewForwardKl {
  static constexpr bool kNeedsTeacher = true;
  static constexpr int kReductions = 2;
  template <class V>
  DISTILL_INLINE static void reduce(const LogProbs<V>& log_p, const TermRow<V>& row, V* sums) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    const Mixture<V> m(log_p, s, p, row.teacher_share);
    sums[0] = fma(s, m.excess(s, p), sums[0]);
    sums[1] = sums[1] + kl_part(p, m.probability, m.teacher);
  }
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V&) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    const V own_share = V::broadcast(1) - row.teacher_share;
    const V m = fma(row.teacher_share, p - s, s);
    const V excess = (p - s) / max(m, V::broadcast(1e-37F));
    return own_share * own_share * s * (row.params[0] - excess);
  }
};

/// KL(S || M), M = c P + (1 - c) S. The derivative is s (h - sum s h) with h = log(s / m) + c (1 -
/// c) (p - s) / m.
struct SkewReverseKl {
  static constexpr bool kNeedsTeacher = true;
  static constexpr int kReductions = 2;
  template <class V>
  DISTILL_INLINE static V slope(const Mixture<V>& m, V s, V p, V share) {
    return fma(share * (V::broadcast(1) - share), m.excess(s, p), m.student);
  }
  template <class V>
  DISTILL_INLINE static void reduce(const LogProbs<V>& log_p, const TermRow<V>& row, V* sums) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    const Mixture<V> m(log_p, s, p, row.teacher_share);
    sums[0] = fma(s, slope(m, s, p, row.teacher_share), sums[0]);
    sums[1] = sums[1] + kl_part(s, m.probability, m.student);
  }
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V&) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    const Mixture<V> m(log_p, s, p, row.teacher_share);
    return s * (slope(m, s, p, row.teacher_share) - row.params[0]);
  }
};

/// sum |p - s| / 2. Derivative: s (sign(s - p) - sum s sign(s - p)) / 2.
struct TotalVariation {
  static constexpr bool kNeedsTeacher = true;
  static constexpr int kReductions = 2;
  template <class V>
  DISTILL_INLINE static V sign(V s, V p) {
    const V zero = V::broadcast(0);
    return select(s < p, V::broadcast(-1), select(p < s, V::broadcast(1), zero));
  }
  template <class V>
  DISTILL_INLINE static void reduce(const LogProbs<V>& log_p, const TermRow<V>&, V* sums) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    sums[0] = fma(s, sign(s, p), sums[0]);
    sums[1] = fma(V::broadcast(0.5F), max(p - s, s - p), sums[1]);
  }
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V&) {
    const V s = exp(log_p.student);
    const V p = exp(log_p.teacher);
    return V::broadcast(0.5F) * s * (sign(s, p) - row.params[0]);
  }
};

/// -log s(label) + z log^2(sum of exp of the logits). Derivative: s (1 + 2 z log sum), less 1 at
/// the label; the first parameter of the row is 2 z log sum.
struct CrossEntropy {
  static constexpr bool kNeedsTeacher = false;
  static constexpr int kReductions = 0;
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V&) {
    const V s = exp(log_p.student);
    return fma(s, row.params[0], s);
  }
};

/// The same against (1 - e) at the label and e / V everywhere.
struct SmoothedCrossEntropy {
  static constexpr bool kNeedsTeacher = false;
  static constexpr int kReductions = 0;
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V& value) {
    const V s = exp(log_p.student);
    const V no_id = V::broadcast(kNoLogit * 1e-3F);
    const V log_s = select(log_p.student < no_id, V::broadcast(0), log_p.student);
    value = value - row.smoothing * log_s;
    return fma(s, row.params[0], s) - row.smoothing;
  }
};

/// A teacher known at a few ids only: the others share one slope, in proportion to their
/// probability.
struct SharedSlope {
  static constexpr bool kNeedsTeacher = false;
  static constexpr int kReductions = 0;
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, const TermRow<V>& row, V&) {
    return exp(log_p.student) * row.params[0];
  }
};

}  // namespace distill::ops::cpu::DISTILL_ISA
