namespace distill::ops::cpu::DISTILL_ISA {

/// Every element goes through the same instructions wherever a range begins, so the result does
/// not depend on the partition.
template <class G>
void adamw(const AdamWArgs<G>& a, Range elements) {
  const std::int64_t at = elements.begin;
  const Vec scale = Vec::broadcast(a.gradient_scale);
  const Vec beta1 = Vec::broadcast(a.beta1);
  const Vec beta2 = Vec::broadcast(a.beta2);
  const Vec rest1 = Vec::broadcast(a.one_minus_beta1);
  const Vec rest2 = Vec::broadcast(a.one_minus_beta2);
  const Vec decay = Vec::broadcast(a.decay);
  const Vec step = Vec::broadcast(-a.step_size);
  const Vec correction = Vec::broadcast(a.rsqrt_correction);
  const Vec eps = Vec::broadcast(a.eps);
  for_vectors<Vec>(elements.end - at, [&](std::int64_t k, auto lanes) DISTILL_INLINE_LAMBDA {
    const std::int64_t i = at + k;
    const Vec g = Vec::load(a.gradient + i, lanes) * scale;
    const Vec m = fma(beta1, Vec::load(static_cast<const float*>(a.exp_avg + i), lanes), rest1 * g);
    const Vec v =
        fma(beta2, Vec::load(static_cast<const float*>(a.exp_avg_sq + i), lanes), rest2 * g * g);
    m.store(a.exp_avg + i, lanes);
    v.store(a.exp_avg_sq + i, lanes);
    const Vec ratio = m / fma(sqrt(v), correction, eps);
    const Vec kept = Vec::load(static_cast<const float*>(a.master + i), lanes) * decay;
    const Vec weight = fma(step, ratio, kept);
    weight.store(a.master + i, lanes);
    if (a.compute != nullptr) weight.store(a.compute + i, lanes);
  });
}

template <class T>
double sum_of_squares(const T* x, std::int64_t n) {
  SquareSum squares;
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes)
                          DISTILL_INLINE_LAMBDA { squares.add(Vec::load(x + i, lanes)); });
  return squares.total();
}

}  // namespace distill::ops::cpu::DISTILL_ISA
