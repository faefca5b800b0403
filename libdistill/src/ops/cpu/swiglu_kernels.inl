namespace distill::ops::cpu::DISTILL_ISA {

template <class T>
void swiglu(const SwigluArgs<T>& a, Range rows) {
  using V = VecOf<T>;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const T* gate = a.gate + row * a.gate_stride;
    const T* up = a.up + row * a.up_stride;
    T* out = a.out + row * a.width;
    for_vectors<V>(a.width, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
      const V g = V::load(gate + i, lanes);
      (g * sigmoid(g) * V::load(up + i, lanes)).store(out + i, lanes);
    });
  }
}

/// silu'(g) = s (1 + g (1 - s)) with s = sigmoid(g).
template <class T>
void swiglu_grad(const SwigluArgs<T>& a, Range rows) {
  using V = VecOf<T>;
  const V one = V::broadcast(1);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const T* gate = a.gate + row * a.gate_stride;
    const T* up = a.up + row * a.up_stride;
    const std::int64_t out = row * a.width;
    for_vectors<V>(a.width, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
      const V g = V::load(gate + i, lanes);
      const V s = sigmoid(g);
      const V grad = V::load(a.grad + out + i, lanes);
      if (a.grad_gate != nullptr) {
        const V slope = s * fma(g, one - s, one);
        (grad * V::load(up + i, lanes) * slope).store(a.grad_gate + out + i, lanes);
      }
      if (a.grad_up != nullptr) (grad * g * s).store(a.grad_up + out + i, lanes);
    });
  }
}

}  // namespace distill::ops::cpu::DISTILL_ISA
