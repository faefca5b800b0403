#include <distill/core/text_pattern.h>

#include <string>

#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "support/temp_folder.h"

namespace distill::core {
namespace {

bool matches(const std::string& pattern, TextPattern::Part part, const std::string& text) {
  return TextPattern(pattern, part, "here").matches(text);
}

TEST(TextPattern, WholeNamesTheirEndsAndPartsOfTexts) {
  using Part = TextPattern::Part;
  EXPECT_TRUE(matches("[qk]_proj", Part::kWhole, "q_proj"));
  EXPECT_FALSE(matches("[qk]_proj", Part::kWhole, "layers.0.q_proj"));
  EXPECT_TRUE(matches("[qk]_proj", Part::kEnd, "layers.0.q_proj"));
  EXPECT_FALSE(matches("proj", Part::kEnd, "layers.0.q_proj"));
  EXPECT_TRUE(matches("proj", Part::kInside, "layers.0.q_proj.weight"));
  EXPECT_TRUE(matches("^Answer: \\d+$", Part::kInside, "First this.\nAnswer: 12\nThen that."));
  EXPECT_FALSE(matches("^Answer: \\d+$", Part::kInside, "First this.\nThe Answer: 12\n"));
  EXPECT_TRUE(matches("^.$", Part::kInside, "\xc3\xa4")) << "a character, not a byte";
}

TEST(TextPattern, WorkIsBounded) {
  std::string text(5000, 'a');
  text.back() = 'b';
  const auto message = testing::message_of<ConfigError>(
      [&] { matches("(a+)+$", TextPattern::Part::kInside, text); });
  EXPECT_NE(message.find("takes too long to match"), std::string::npos) << message;
}

TEST(TextPattern, WhatIsNoPatternIsRefused) {
  const auto message =
      testing::message_of<ConfigError>([&] { matches("a(", TextPattern::Part::kInside, ""); });
  EXPECT_NE(message.find("here: `a(` is no regular expression"), std::string::npos) << message;
}

}  // namespace
}  // namespace distill::core
