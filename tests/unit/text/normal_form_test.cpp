#include "text/normal_form.h"

#include <array>
#include <cstdlib>

#include <gtest/gtest.h>
#include <utf8proc.h>

namespace distill::text::detail {
namespace {

std::string nfc(std::string_view text) {
  EditedText edited(text, false);
  normalize(NormalForm::kC, edited);
  return std::string(edited.text());
}

TEST(NormalForm, ComposesAndOrders) {
  EXPECT_EQ(nfc(""), "");
  EXPECT_EQ(nfc("plain ASCII\n"), "plain ASCII\n");
  EXPECT_EQ(nfc("e\xCC\x81"), "\xC3\xA9");                                 // e, acute
  EXPECT_EQ(nfc("\xE2\x84\xAB"), "\xC3\x85");                              // Angstrom sign
  EXPECT_EQ(nfc("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"), "\xEA\xB0\x81");  // Hangul
  EXPECT_EQ(nfc("e\xCC\x82\xCC\xA3"), "\xE1\xBB\x87");                     // circumflex, dot below
  EXPECT_EQ(nfc("<\xCC\xB8"), "\xE2\x89\xAE");                             // not less than
  EXPECT_EQ(nfc("\n\xCC\x81"), "\n\xCC\x81");                              // nothing to sit on
}

TEST(NormalForm, HangulHasNoConsonantBeforeTheFirst) {
  const std::string text = "\xEA\xBC\x90\xE1\x86\xA7";  // U+AF10 U+11A7
  EXPECT_EQ(nfc(text), text);
}

// U+07FD has a combining class since Unicode 11; the package still takes it for a base.
TEST(NormalForm, KnowsUnicodeNineLikeThePackage) {
  const std::string text = "a\xCC\x81\xDF\xBD\xCC\x96";
  EXPECT_EQ(nfc(text), "\xC3\xA1\xDF\xBD\xCC\x96");
}

std::string utf8(std::vector<char32_t> points) {
  std::string text;
  for (const char32_t point : points) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes.data());
    text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
  }
  return text;
}

// Common characters are passed over without a look at their properties, marks after them or not.
TEST(NormalForm, CommonBlocksEqualUtf8proc) {
  const std::pair<char32_t, char32_t> blocks[] = {{0x20, 0x52F},    {0x2002, 0x205F},
                                                  {0x3000, 0x30FF}, {0x4E00, 0x4EFF},
                                                  {0xAC00, 0xAD00}, {0xFF00, 0xFFEF}};
  for (const auto& [first, last] : blocks) {
    for (char32_t value = first; value <= last; ++value) {
      for (const char32_t mark : {0x301, 0x3099, 0x11A8}) {
        const std::string text = utf8({'a', value, mark, value});
        utf8proc_uint8_t* wanted =
            utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
        ASSERT_NE(wanted, nullptr);
        EXPECT_EQ(nfc(text), reinterpret_cast<const char*>(wanted)) << std::hex << +value;
        std::free(wanted);
      }
    }
  }
}

TEST(NormalForm, PlacesInTheOriginal) {
  const std::string original = "ab e\xCC\x81 c";
  EditedText normal(original, true);
  normalize(NormalForm::kC, normal);
  ASSERT_EQ(normal.text(), "ab \xC3\xA9 c");
  const auto range = [&](std::size_t begin, std::size_t end) {
    const ByteRange result = normal.original({begin, end});
    return std::pair(result.begin, result.end);
  };
  using Pair = std::pair<std::size_t, std::size_t>;
  EXPECT_EQ(range(1, 3), Pair(1, 3));
  EXPECT_EQ(range(3, 5), Pair(3, 6));
  EXPECT_EQ(range(5, 7), Pair(6, original.size()));
}

}  // namespace
}  // namespace distill::text::detail
