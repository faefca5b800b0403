// The divergences, one small struct each. `step` gets the log-probabilities of a vector of ids,
// returns the derivative with respect to the student's logit / temperature, and adds the value to
// `value`. A kind with a label corrects that one id in `at_label`.

namespace distill::ops::cpu::DISTILL_ISA {

/// Natural logarithms of both models' probabilities.
template <class V>
struct LogProbs {
  V student;
  V teacher;
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

/// KL(teacher || student), summed as p_t (exp(-d) - 1 + d) with d = log p_t - log p_s: every part
/// is >= 0, and exactly 0 where the models agree. Derivative: p_s - p_t.
struct ForwardKl {
  static constexpr bool kNeedsTeacher = true;
  static constexpr bool kNeedsLabel = false;
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, V& value) {
    const V student = exp(log_p.student);
    const V teacher = exp(log_p.teacher);
    const V d = log_p.teacher - log_p.student;
    const V difference = student - teacher;
    const V far = fma(teacher, d, difference);
    const V near = teacher * excess_near_zero(d);
    value = value + select(max(d, -d) < V::broadcast(0.25F), near, far);
    return difference;
  }
};

/// -log p_s(label). Derivative: p_s, less 1 at the label.
struct CrossEntropy {
  static constexpr bool kNeedsTeacher = false;
  static constexpr bool kNeedsLabel = true;
  template <class V>
  DISTILL_INLINE static V step(const LogProbs<V>& log_p, V&) {
    return exp(log_p.student);
  }
  template <class T>
  DISTILL_INLINE static T at_label(T log_p, double& value) {
    value -= static_cast<double>(log_p);
    return T(-1);
  }
};

}  // namespace distill::ops::cpu::DISTILL_ISA
