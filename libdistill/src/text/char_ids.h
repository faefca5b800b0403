#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace distill::text::detail {

/// Ids of characters, found in constant time.
class CharIds {
 public:
  CharIds() { pages_.resize(kPageSize, -1); }

  void set(char32_t code_point, std::int32_t id) {
    std::uint16_t& page = page_of_[code_point / kPageSize];
    if (page == 0) {
      page = static_cast<std::uint16_t>(pages_.size() / kPageSize);
      pages_.resize(pages_.size() + kPageSize, -1);
    }
    pages_[page * kPageSize + code_point % kPageSize] = id;
  }

  /// -1 for a character that has none. `code_point` is at most 0x10FFFF.
  std::int32_t find(char32_t code_point) const {
    return pages_[page_of_[code_point / kPageSize] * kPageSize + code_point % kPageSize];
  }

 private:
  static constexpr std::size_t kPageSize = 256;
  std::array<std::uint16_t, 0x110000 / kPageSize> page_of_{};  ///< page 0 is empty
  std::vector<std::int32_t> pages_;
};

}  // namespace distill::text::detail
