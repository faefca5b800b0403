namespace distill::ops::cpu::DISTILL_ISA {

template <class T>
void rotary(const RotaryArgs<T>& a, Range rows) {
  using V = VecOf<T>;
  using A = Accumulator<T>;
  const V direction = V::broadcast(a.direction);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const A* cos_row = a.cos + row * a.half;
    const A* sin_row = a.sin + row * a.half;
    for (std::int64_t head = 0; head < a.heads; ++head) {
      const T* x = a.x + row * a.row_stride + head * a.head_stride;
      T* out = a.out + (row * a.heads + head) * 2 * a.half;
      for_vectors<V>(a.half, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
        const V c = V::load(cos_row + i, lanes);
        const V s = V::load(sin_row + i, lanes) * direction;
        const V first = V::load(x + i, lanes);
        const V second = V::load(x + a.half + i, lanes);
        (first * c - second * s).store(out + i, lanes);
        fma(first, s, second * c).store(out + a.half + i, lanes);
      });
    }
  }
}

}  // namespace distill::ops::cpu::DISTILL_ISA
