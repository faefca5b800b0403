#include "text/added_tokens.h"

#include <gtest/gtest.h>

namespace distill::text::detail {
namespace {

/// `[id:text]` for tokens, the text for what is between.
std::string split(const std::vector<AddedToken>& tokens, std::string_view text,
                  bool parse_special = true, AddedTokens::Pass pass = AddedTokens::Pass::kRaw) {
  std::string result;
  for (const Segment& segment :
       AddedTokens(tokens, Normalizer()).split(text, pass, parse_special)) {
    const std::string part(text.substr(segment.begin, segment.end - segment.begin));
    result += segment.id < 0 ? part : "[" + std::to_string(segment.id) + ":" + part + "]";
  }
  return result;
}

AddedToken token(std::string content, std::int32_t id) {
  AddedToken result;
  result.content = std::move(content);
  result.id = id;
  return result;
}

TEST(AddedTokens, TheLongestFromTheLeft) {
  const std::vector<AddedToken> tokens = {token("ab", 1), token("abcd", 2), token("bc", 3)};
  EXPECT_EQ(split(tokens, "abcd"), "[2:abcd]");
  EXPECT_EQ(split(tokens, "abce"), "[1:ab]ce");
  EXPECT_EQ(split(tokens, "xbcab"), "x[3:bc][1:ab]");
  EXPECT_EQ(split(tokens, ""), "");
  EXPECT_EQ(split({}, "abc"), "abc");
}

TEST(AddedTokens, StrippingTakesWhiteSpaceButNoToken) {
  AddedToken left = token("<l>", 1);
  left.lstrip = true;
  AddedToken right = token("<r>", 2);
  right.rstrip = true;
  EXPECT_EQ(split({left, right}, "a \t<l> b"), "a[1: \t<l>] b");
  EXPECT_EQ(split({left, right}, "a<r>\xE3\x80\x80\n b"), "a[2:<r>\xE3\x80\x80\n ]b");
  EXPECT_EQ(split({left, right}, "<r>  <l>"), "[2:<r>  ][1:<l>]");
}

TEST(AddedTokens, SpecialTokensStayTextWhenAskedTo) {
  AddedToken special = token("<s>", 1);
  special.special = true;
  EXPECT_EQ(split({special, token("<t>", 2)}, "<s><t>", false), "<s>[2:<t>]");
  EXPECT_EQ(split({special, token("<t>", 2)}, "<s><t>", true), "[1:<s>][2:<t>]");
}

TEST(AddedTokens, EachPassLooksForItsOwn) {
  AddedToken normalized = token("<n>", 1);
  normalized.normalized = true;
  EXPECT_EQ(split({normalized}, "<n>"), "<n>");
  EXPECT_EQ(split({normalized}, "<n>", true, AddedTokens::Pass::kNormalized), "[1:<n>]");
}

}  // namespace
}  // namespace distill::text::detail
