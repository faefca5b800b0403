namespace distill::ops::cpu::DISTILL_ISA {

/// 32 bits that depend on seed and place alone (the finishing steps of MurmurHash3, twice).
DISTILL_INLINE std::uint32_t bits_at(std::uint64_t seed, std::uint64_t place) {
  auto h = static_cast<std::uint32_t>(place) ^ static_cast<std::uint32_t>(seed);
  for (int round = 0; round < 2; ++round) {
    h ^= h >> 16;
    h *= 0x85ebca6bU;
    h ^= h >> 13;
    h *= 0xc2b2ae35U;
    h ^= h >> 16;
    h += static_cast<std::uint32_t>(place >> 32) ^ static_cast<std::uint32_t>(seed >> 32);
  }
  return h;
}

template <class T>
void dropout(const DropoutArgs<T>& a, Range elements) {
  using V = VecOf<T>;
  using A = Accumulator<T>;
  constexpr std::int64_t kPiece = 256;
  A factors[kPiece];
  for (std::int64_t first = elements.begin; first < elements.end; first += kPiece) {
    const std::int64_t rest = elements.end - first, count = rest < kPiece ? rest : kPiece;
    for (std::int64_t i = 0; i < count; ++i) {
      const bool stays = bits_at(a.seed, static_cast<std::uint64_t>(first + i)) >= a.threshold;
      factors[i] = stays ? a.scale : A{0};
    }
    for_vectors<V>(count, [&](std::int64_t i, auto lanes) DISTILL_INLINE_LAMBDA {
      V value = V::load(a.x + first + i, lanes) * V::load(factors + i, lanes);
      if (a.add) value = value + V::load(a.out + first + i, lanes);
      value.store(a.out + first + i, lanes);
    });
  }
}

}  // namespace distill::ops::cpu::DISTILL_ISA
