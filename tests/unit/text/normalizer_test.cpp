#include "text/normalizer.h"

#include <gtest/gtest.h>

namespace distill::text::detail {
namespace {

std::string nfc(std::string_view text) {
  return std::string(NfcText(text).text());
}

TEST(NfcText, ComposesAndOrders) {
  EXPECT_EQ(nfc(""), "");
  EXPECT_EQ(nfc("plain ASCII\n"), "plain ASCII\n");
  EXPECT_EQ(nfc("e\xCC\x81"), "\xC3\xA9");                                 // e, acute
  EXPECT_EQ(nfc("\xE2\x84\xAB"), "\xC3\x85");                              // Angstrom sign
  EXPECT_EQ(nfc("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"), "\xEA\xB0\x81");  // Hangul
  EXPECT_EQ(nfc("e\xCC\x82\xCC\xA3"), "\xE1\xBB\x87");                     // circumflex, dot below
  EXPECT_EQ(nfc("<\xCC\xB8"), "\xE2\x89\xAE");                             // not less than
  EXPECT_EQ(nfc("\n\xCC\x81"), "\n\xCC\x81");                              // nothing to sit on
}

// U+07FD has a combining class since Unicode 11; the package still takes it for a base.
TEST(NfcText, KnowsUnicodeNineLikeThePackage) {
  const std::string text = "a\xCC\x81\xDF\xBD\xCC\x96";
  EXPECT_EQ(nfc(text), "\xC3\xA1\xDF\xBD\xCC\x96");
}

TEST(NfcText, PlacesInTheOriginal) {
  const std::string original = "ab e\xCC\x81 c";
  const NfcText normal(original);
  ASSERT_EQ(normal.text(), "ab \xC3\xA9 c");
  EXPECT_EQ(normal.original_begin(1), 1u);
  EXPECT_EQ(normal.original_begin(3), 3u);
  EXPECT_EQ(normal.original_end(5), 6u);
  EXPECT_EQ(normal.original_begin(5), 6u);
  EXPECT_EQ(normal.original_end(7), original.size());
  EXPECT_EQ(normal.original_end(3), 3u);
  EXPECT_EQ(NfcText("").original_end(0), 0u);
}

}  // namespace
}  // namespace distill::text::detail
