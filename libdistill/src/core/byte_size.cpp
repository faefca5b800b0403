#include <distill/core/byte_size.h>

#include <array>
#include <charconv>
#include <string>
#include <utility>

#include <distill/core/checked.h>

namespace distill::core {

namespace {

constexpr std::array<std::pair<std::string_view, std::uint64_t>, 10> kUnits = {
    {{"", 1},
     {"b", 1},
     {"kb", 1'000},
     {"mb", 1'000'000},
     {"gb", 1'000'000'000},
     {"tb", 1'000'000'000'000},
     {"kib", std::uint64_t{1} << 10},
     {"mib", std::uint64_t{1} << 20},
     {"gib", std::uint64_t{1} << 30},
     {"tib", std::uint64_t{1} << 40}}};

}  // namespace

std::optional<std::uint64_t> parse_byte_size(std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with(' ')) text.remove_prefix(1);
  std::string unit(text);
  for (char& c : unit) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  for (const auto& [name, bytes] : kUnits) {
    if (unit == name) return checked_mul(count, bytes);
  }
  return std::nullopt;
}

}  // namespace distill::core
