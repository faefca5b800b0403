namespace distill::ops::cpu::DISTILL_ISA {

/// Sum of squares of one row, which is written to `sum` first where there is a residual.
template <class T>
DISTILL_INLINE Accumulator<T> row_squares(const RmsNormArgs<T>& a, std::int64_t offset) {
  using V = VecOf<T>;
  V squares = V::broadcast(0);
  if (a.residual == nullptr) {
    for_vectors<V>(a.width, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
      const V x = V::load(a.x + offset + i, lanes);
      squares = fma(x, x, squares);
    });
  } else {
    for_vectors<V>(a.width, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
      const V x = V::load(a.x + offset + i, lanes) + V::load(a.residual + offset + i, lanes);
      T* out = a.sum + offset + i;
      x.store(out, lanes);
      // Read back: what is normalised is the sum as rounded, which is what backward sees.
      const V rounded = V::load(static_cast<const T*>(out), lanes);
      squares = fma(rounded, rounded, squares);
    });
  }
  return sum(squares);
}

template <class T>
void rms_norm(const RmsNormArgs<T>& a, Range rows) {
  using V = VecOf<T>;
  using A = Accumulator<T>;
  const T* source = a.residual == nullptr ? a.x : a.sum;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int64_t offset = row * a.width;
    const A mean = row_squares(a, offset) / static_cast<A>(a.width);
    const A rstd = A{1} / static_cast<A>(sizeof(A) == sizeof(float)
                                             ? __builtin_sqrtf(static_cast<float>(mean + a.eps))
                                             : __builtin_sqrt(static_cast<double>(mean + a.eps)));
    if (a.rstd != nullptr) a.rstd[row] = rstd;
    const V scale = V::broadcast(rstd);
    for_vectors<V>(a.width, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
      const V x = V::load(source + offset + i, lanes);
      (x * scale * V::load(a.weight + i, lanes)).store(a.normed + offset + i, lanes);
    });
  }
}

/// With g = weight * grad_normed and r = rstd: grad_x = r g - x r^3 mean(g x) + grad_sum,
/// grad_weight += grad_normed * x * r.
template <class T>
void rms_norm_grad(const RmsNormGradArgs<T>& a, Range rows) {
  using V = VecOf<T>;
  using A = Accumulator<T>;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const T* x = a.x + row * a.width;
    const T* grad = a.grad_normed + row * a.width;
    const A rstd = a.rstd[row];
    const V scale = V::broadcast(rstd);
    V dot = V::broadcast(0);
    for_vectors<V>(a.width, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
      const V gx = V::load(grad + i, lanes) * V::load(x + i, lanes);
      dot = fma(gx, V::load(a.weight + i, lanes), dot);
      if (a.grad_weight != nullptr) {
        const V before = V::load(static_cast<const A*>(a.grad_weight + i), lanes);
        fma(gx, scale, before).store(a.grad_weight + i, lanes);
      }
    });
    if (a.grad_x == nullptr) continue;
    const V slope = V::broadcast(-sum(dot) / static_cast<A>(a.width) * rstd * rstd * rstd);
    for_vectors<V>(a.width, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
      const V g = V::load(grad + i, lanes) * V::load(a.weight + i, lanes);
      V r = fma(g, scale, V::load(x + i, lanes) * slope);
      if (a.grad_sum != nullptr) r = r + V::load(a.grad_sum + row * a.width + i, lanes);
      r.store(a.grad_x + row * a.width + i, lanes);
    });
  }
}

}  // namespace distill::ops::cpu::DISTILL_ISA
