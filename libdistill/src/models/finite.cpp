#include "models/finite.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

namespace distill::models {

namespace {

/// A float is not finite when all bits of its exponent are set. Adding the exponent's lowest bit to
/// the number without its sign then carries into the sign's place; several elements sit side by
/// side in a word and no carry leaves its element.
struct ExponentMask {
  std::uint64_t without_sign;
  std::uint64_t lowest_exponent_bit;
};

ExponentMask exponent_mask(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::ScalarType::BFloat16:
      return {0x7fff7fff7fff7fffULL, 0x0080008000800080ULL};
    case c10::ScalarType::Half:
      return {0x7fff7fff7fff7fffULL, 0x0400040004000400ULL};
    case c10::ScalarType::Float:
      return {0x7fffffff7fffffffULL, 0x0080000000800000ULL};
    case c10::ScalarType::Double:
      return {0x7fffffffffffffffULL, 0x0010000000000000ULL};
    default:
      TORCH_CHECK(false, "all_finite: no floating-point tensor");
  }
}

bool words_finite(const std::byte* bytes, std::int64_t count, ExponentMask mask) {
  constexpr std::int64_t kWords = 8;
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(std::uint64_t));
  std::uint64_t carries = 0;
  const auto look = [&](const std::byte* at, std::int64_t size) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, static_cast<std::size_t>(size));
    return (word & mask.without_sign) + mask.lowest_exponent_bit;
  };
  const std::byte* const end = bytes + count;
  for (; end - bytes >= kWords * kSize; bytes += kWords * kSize) {
    for (std::int64_t i = 0; i < kWords; ++i) carries |= look(bytes + i * kSize, kSize);
  }
  // A partial word is filled with zeros, which are finite.
  for (; bytes < end; bytes += kSize) carries |= look(bytes, std::min(kSize, end - bytes));
  return (carries & ~mask.without_sign) == 0;
}

}  // namespace

bool all_finite(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_contiguous() && tensor.is_cpu(),
              "all_finite: needs a contiguous CPU tensor");
  constexpr std::int64_t kGrain = 1 << 20;
  const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
  const ExponentMask mask = exponent_mask(tensor.scalar_type());
  std::atomic<bool> finite = true;
  // In blocks of whole words, so that an element is never split.
  const std::int64_t size = static_cast<std::int64_t>(tensor.nbytes()), words = (size + 7) / 8;
  at::parallel_for(0, words, kGrain / 8, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t last = std::min(end * 8, size);
    if (!words_finite(bytes + begin * 8, last - begin * 8, mask)) finite = false;
  });
  return finite;
}

}  // namespace distill::models
