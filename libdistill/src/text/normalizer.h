#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace distill::text::detail {

/// Text in Unicode normal form C, and where it came from.
class NfcText {
 public:
  /// The same characters as the `tokenizers` package gives, which knows Unicode 9. The text is
  /// UTF-8. O(n log n).
  explicit NfcText(std::string_view original);

  std::string_view text() const { return text_; }
  /// The bytes of the original that [begin, end) of the result came from: exact where nothing was
  /// changed, otherwise up to the next place where the two texts surely agree.
  std::size_t original_begin(std::size_t at) const;
  std::size_t original_end(std::size_t at) const;

 private:
  /// A part of the text; parts are normalised one by one.
  struct Part {
    std::size_t begin = 0;     ///< in text_
    std::size_t original = 0;  ///< where it begins in the original
    bool unchanged = true;
  };
  void add(std::string_view part, std::size_t original);
  const Part& part_at(std::size_t at) const;

  std::string text_;
  std::vector<Part> parts_;  ///< sorted, and one more for the end
};

}  // namespace distill::text::detail
