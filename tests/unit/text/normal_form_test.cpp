#include "text/normal_form.h"

#include <gtest/gtest.h>

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
