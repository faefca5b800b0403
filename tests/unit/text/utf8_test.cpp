#include "text/utf8.h"

#include <gtest/gtest.h>

#include <distill/core/random.h>
#include <distill/core/strings.h>
#include <distill/text/tokenizer.h>

namespace distill::text {
namespace {

using detail::replace_malformed;
using detail::utf8_prefix;

const std::string kFffd = "\xEF\xBF\xBD";

// The examples of the Unicode standard, section 3.9, tables 3-8 to 3-11.
TEST(Utf8, OneReplacementForEachMaximalSubpart) {
  EXPECT_EQ(replace_malformed("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                              "A"),
            kFffd + kFffd + kFffd + kFffd + kFffd + kFffd + kFffd + kFffd + "A");
  EXPECT_EQ(replace_malformed("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                              "A"),
            kFffd + kFffd + kFffd + kFffd + kFffd + kFffd + kFffd + kFffd + "A");
  EXPECT_EQ(replace_malformed("\xF4\x91\x92\x93\xFF"
                              "A\x80\xBF"
                              "B"),
            kFffd + kFffd + kFffd + kFffd + kFffd + "A" + kFffd + kFffd + "B");
  EXPECT_EQ(replace_malformed("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                              "A"),
            kFffd + kFffd + kFffd + kFffd + "A");
}

TEST(Utf8, WholeTextStays) {
  const std::string text = "a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF";
  EXPECT_EQ(replace_malformed(text), text);
  EXPECT_EQ(utf8_prefix(text), text.size());
  EXPECT_EQ(utf8_prefix("ab\xFF"), 2u);
  EXPECT_EQ(utf8_prefix("ab\xE4\xBD"), 2u);
}

TEST(Utf8, AgreesWithTheCheckOfCoreOnRandomBytes) {
  core::RandomState random(3);
  const std::string lead = "a\x80\xBF\xC2\xE0\xA0\xED\x9F\xF0\x90\xF4\x8F\xF5";
  for (int trial = 0; trial < 20000; ++trial) {
    std::string bytes;
    for (std::uint64_t n = random.below(6); bytes.size() < n;) {
      bytes += lead[static_cast<std::size_t>(random.below(lead.size()))];
    }
    EXPECT_EQ(utf8_prefix(bytes) == bytes.size(), core::is_utf8(bytes));
    EXPECT_TRUE(core::is_utf8(replace_malformed(bytes)));
  }
}

TEST(StreamDecoder, AnyCutGivesTheWholeText) {
  core::RandomState random(5);
  for (int trial = 0; trial < 5000; ++trial) {
    std::string bytes = "x\xF0\x9F\x98\x80\xE4\xBD\xA0\xC3\xA9";
    for (int i = 0; i < 3; ++i) {
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random.below(bytes.size())),
                   static_cast<char>(random.below(256)));
    }
    StreamDecoder stream;
    std::string text;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto size = static_cast<std::size_t>(random.below(4));
      const std::string part = stream.push(std::string_view(bytes).substr(at, size));
      EXPECT_TRUE(core::is_utf8(part));
      text += part;
      at += size;
    }
    text += stream.finish();
    EXPECT_EQ(text, replace_malformed(bytes));
    EXPECT_EQ(stream.finish(), "");
  }
}

TEST(StreamDecoder, KeepsAnUnfinishedCharacterBack) {
  StreamDecoder stream;
  EXPECT_EQ(stream.push("a\xE4\xBD"), "a");
  EXPECT_EQ(stream.push("\xA0"), "\xE4\xBD\xA0");
  EXPECT_EQ(stream.push("\xF0\x9F"), "");
  EXPECT_EQ(stream.finish(), kFffd);
}

}  // namespace
}  // namespace distill::text
