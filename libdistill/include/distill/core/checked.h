#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>

/// Arithmetic on numbers that came from a file. Every size, product and narrowing of such a number
/// goes through here; an empty result means "does not fit".
namespace distill::core {

inline std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// The product of all factors; 1 for none.
inline std::optional<std::uint64_t> checked_product(std::span<const std::int64_t> factors) {
  std::optional<std::uint64_t> result = 1;
  for (const std::int64_t factor : factors) {
    if (factor < 0) return std::nullopt;
    result = checked_mul(*result, static_cast<std::uint64_t>(factor));
    if (!result) return std::nullopt;
  }
  return result;
}

/// `value` as a `To`, when it has exactly that value there.
template <std::integral To, std::integral From>
std::optional<To> checked_cast(From value) {
  if (!std::in_range<To>(value)) return std::nullopt;
  return static_cast<To>(value);
}

}  // namespace distill::core
