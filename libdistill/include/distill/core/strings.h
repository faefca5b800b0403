#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace distill::core {

/// The parts written one after the other with operator<<.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

/// `a, b, c`.
std::string join(std::span<const std::string> parts, std::string_view separator = ", ");

/// The candidate nearest to `name` by edit distance, when it is near enough to be a typing error.
std::optional<std::string> nearest(std::string_view name, std::span<const std::string> candidates);

/// ` (did you mean `x`?)`, or nothing when no candidate is near.
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

/// Foreign bytes made safe for a one-line message: control characters and bytes that are not
/// printable ASCII become \xNN, and what is longer than `max_length` is cut with `...`.
std::string printable(std::string_view text, std::size_t max_length = 60);

/// True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

/// 1,234,567.
std::string with_thousands(std::int64_t value);

/// `512 B`, `1.5 KiB`, `268.1 MiB`.
std::string human_bytes(std::uint64_t bytes);

/// `7 s`, `3 min 20 s`, `2 h 5 min`.
std::string human_seconds(double seconds);

}  // namespace distill::core
