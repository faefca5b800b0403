namespace distill::ops::cpu::DISTILL_ISA {

template <class From, class To>
void convert(const From* x, To* out, std::int64_t n) {
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes)
                          DISTILL_INLINE_LAMBDA { Vec::load(x + i, lanes).store(out + i, lanes); });
}

inline void exp_array(const float* x, float* out, std::int64_t n) {
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    exp(Vec::load(x + i, lanes)).store(out + i, lanes);
  });
}

inline void log_array(const float* x, float* out, std::int64_t n) {
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    log(Vec::load(x + i, lanes)).store(out + i, lanes);
  });
}

inline void expm1_array(const float* x, float* out, std::int64_t n) {
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    expm1(Vec::load(x + i, lanes)).store(out + i, lanes);
  });
}

inline void log1p_array(const float* x, float* out, std::int64_t n) {
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    log1p(Vec::load(x + i, lanes)).store(out + i, lanes);
  });
}

inline void sigmoid_array(const float* x, float* out, std::int64_t n) {
  for_vectors<Vec>(n, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
    sigmoid(Vec::load(x + i, lanes)).store(out + i, lanes);
  });
}

}  // namespace distill::ops::cpu::DISTILL_ISA
