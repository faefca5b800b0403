// Which texts are JSON and which are not, in the manner of the JSON Parsing Test Suite.
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/json_value.h>

namespace distill::io {
namespace {

using namespace std::string_literals;

const std::vector<std::string> kAccepted = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "12",
    "-7",
    "1.5",
    "-0.25",
    "1e3",
    "1E-3",
    "2.5e+2",
    "9223372036854775807",
    "-9223372036854775808",
    "1e-400",
    "\"\"",
    "\"a b\"",
    R"("\" \\ \/ \b \f \n \r \t")",
    R"("\u00e9")",
    R"("\u0000")",
    R"("\uD83D\uDE00")",
    "\"\xc3\xa9\"",
    "\"\xe2\x82\xac\"",
    "\"\xf0\x9f\x98\x80\"",
    "\"\x7f\"",
    "[]",
    "[ ]",
    "[null]",
    "[1, 2 ,3]",
    "[[[]],[]]",
    "{}",
    "{ }",
    R"({"":0})",
    R"({"a":1,"b":{"a":2}})",
    R"({"a":[{"b":null}]})",
    " \t\r\n[1]\n ",
    "[1]\r\n",
    R"(["a","a"])",
    R"({"a":1,"A":2})",
    "\"\xef\xbf\xbf\"",
    "\"\xf4\x8f\xbf\xbf\"",
};

const std::vector<std::string> kRefused = {
    // Nothing there, or not all of it.
    "",
    " ",
    "\n",
    "[",
    "]",
    "{",
    "}",
    "[1",
    "[1,",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "\"",
    "\"abc",
    "nul",
    "tru",
    "fals",
    "-",
    // Too much.
    "1 2",
    "[] []",
    "{}x",
    "[1]]",
    "null,",
    "[1]\0"s,
    "[1]\0]"s,
    "\0"s,
    "\"a\0b\""s,
    // Commas and colons.
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[,]",
    "[1 2]",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{\"a\",1}",
    "[1:2]",
    "{\"a\":1 \"b\":2}",
    "{\"a\":}",
    "{:1}",
    // Names.
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{null:1}",
    "{[]:1}",
    R"({"a":1,"a":2})",
    R"({"a":1,"\u0061":1})",
    // Numbers.
    "01",
    "-01",
    "+1",
    ".5",
    "1.",
    "1.e3",
    "1e",
    "1e+",
    "0x10",
    "1_000",
    "--1",
    "- 1",
    "NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "inf",
    "1e400",
    "-1e999",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "1.5.2",
    "1e5e5",
    "1a",
    "0e",
    "\xef\xbc\x91",
    // Words.
    "True",
    "NULL",
    "None",
    "undefined",
    "nulll",
    "truefalse",
    "[n]",
    // Strings.
    "'a'",
    "\"\t\"",
    "\"\n\"",
    "\"\x1f\"",
    R"("\x41")",
    R"("\a")",
    R"("\u12")",
    R"("\u12g4")",
    R"("\")",
    R"("\uD800")",
    R"("\uD800\u0041")",
    R"("\uDC00")",
    R"("\U0041")",
    "\"\\\n\"",
    "\"a\" \"b\"",
    // Bytes that are not UTF-8.
    "\"\xff\"",
    "\"\x80\"",
    "\"\xc3\"",
    "\"\xc0\xaf\"",
    "\"\xe0\x80\xaf\"",
    "\"\xed\xa0\x80\"",
    "\"\xf5\x80\x80\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xe2\x82\"",
    "\xff",
    "[\xe9]",
    "\xc2\xa0[]",
    // Comments, marks and other extensions.
    "\xef\xbb\xbf[]",
    "\xff\xfe[\0]\0"s,
    "// c\n1",
    "/* c */1",
    "# c\n1",
    "[1]// c",
    "\f[]",
    "\v1",
    "<a/>",
    "(1)",
    "[1;2]",
    "{\"a\"=1}",
    "`a`",
};

TEST(JsonSyntax, AcceptsJson) {
  for (const std::string& text : kAccepted) {
    EXPECT_NO_THROW(parse_json(text, "f")) << text;
  }
}

TEST(JsonSyntax, RefusesEverythingElse) {
  for (const std::string& text : kRefused) {
    try {
      parse_json(text, "f");
      ADD_FAILURE() << "accepted: " << text;
    } catch (const FormatError& error) {
      const std::string message = error.what();
      EXPECT_TRUE(message.starts_with("f:")) << message;
      EXPECT_LT(message.size(), 300u);
      EXPECT_EQ(message.find_first_of("\n\r"), std::string::npos) << message;
      for (const char c : message) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << message;
      EXPECT_EQ(message.find("json.exception"), std::string::npos) << message;
    }
  }
}

/// Anything but a crash or a foreign exception will do.
void parse_without_harm(const std::string& text) {
  try {
    parse_json(text, "f");
  } catch (const Error&) {
  }
}

TEST(JsonSyntax, EveryTruncationAndBitFlipIsHarmless) {
  std::string text =
      R"({"model_type":"llama","eps":1e-05,"ids":[1,-2,3.25,null,true],"nested":{"a":[[],{}]},)";
  text += "\"text\":\"caf\xc3\xa9 \\u00e9 \\uD83D\\uDE00 \\\\ \\\" \xf0\x9f\x98\x80\",\"vocab\":{";
  for (int i = 0; text.size() < 1000; ++i) {
    text += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) + "\":" + std::to_string(i * 997);
  }
  text += "}}";
  ASSERT_NO_THROW(parse_json(text, "f"));
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_THROW(parse_json(std::string_view(text).substr(0, length), "f"), FormatError) << length;
  }
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string damaged = text;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    parse_without_harm(damaged);
  }
}

}  // namespace
}  // namespace distill::io
