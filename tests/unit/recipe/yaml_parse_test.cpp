#include "recipe/yaml_parse.h"

#include <string>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/temp_folder.h"
#include "unit/recipe/case_name.h"

namespace distill::recipe::detail {
namespace {

std::optional<Node> parse(const std::string& text) {
  ProblemList problems("r.yaml", {});
  auto node = parse_yaml(text, 0, problems);
  problems.throw_if_any();
  return node;
}

TEST(YamlParse, KeepsOrderLinesAndQuotes) {
  const auto root = parse("b: 1\na:\n  - \"2\"\n  - {x: null}\n");
  ASSERT_TRUE(root);
  ASSERT_EQ(root->kind, Node::Kind::kMap);
  ASSERT_EQ(root->children.size(), 2u);
  EXPECT_EQ(root->children[0].key, "b");
  EXPECT_EQ(root->children[0].kind, Node::Kind::kPlain);
  EXPECT_EQ(root->children[0].place.line, 1);
  const Node& list = root->children[1];
  EXPECT_EQ(list.key_place.line, 2);
  EXPECT_EQ(list.children[0].kind, Node::Kind::kQuoted);
  EXPECT_EQ(list.children[0].place.line, 3);
  EXPECT_EQ(list.children[1].find("x")->kind, Node::Kind::kNull);
  EXPECT_EQ(list.children[1].find("y"), nullptr);
}

TEST(YamlParse, BlocksOfTextKeepTheirEnd) {
  EXPECT_EQ(parse("a: |\n  x\n  y\n")->find("a")->text, "x\ny\n");
  EXPECT_EQ(parse("a: |+\n  x\n\n")->find("a")->text, "x\n\n");
  EXPECT_EQ(parse("a: x # c")->find("a")->text, "x");
  EXPECT_EQ(parse("---\na: x\n...\n")->find("a")->text, "x");
}

TEST(YamlParse, NothingIsNull) {
  EXPECT_EQ(parse("")->kind, Node::Kind::kNull);
  EXPECT_EQ(parse("# only a comment\n")->kind, Node::Kind::kNull);
}

struct Hostile {
  const char* what;
  std::string text;
  std::string message;
};

class YamlParseHostile : public ::testing::TestWithParam<Hostile> {};

TEST_P(YamlParseHostile, IsRefusedWithItsLine) {
  const auto message = testing::message_of<ConfigError>([&] { parse(GetParam().text); });
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

std::string repeat(const std::string& piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += piece;
  return text;
}

// Nine lists of nine aliases each: 9^9 values when expanded.
std::string aliases_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string name = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + name +
            repeat(", " + name, 8) + "]\n";
  }
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, YamlParseHostile,
    ::testing::Values(
        Hostile{"duplicate key", "a: 1\nb: 2\na: 3\n", "r.yaml:3: the key `a` is given twice"},
        Hostile{"duplicate key, flow", "x:\n  {a: 1, a: 2}\n",
                "r.yaml:2: the key `a` is given twice"},
        Hostile{"duplicate key, quoted", "a: 1\n\"a\": 2\n",
                "r.yaml:2: the key `a` is given twice"},
        Hostile{"anchor", "a: 1\nb: &x 2\n", "r.yaml:2: an anchor (`&name`)"},
        Hostile{"anchor on a map", "a: &x {b: 1}\n", "r.yaml:1: an anchor"},
        Hostile{"alias", "a: &x 1\nb: *x\n", "r.yaml:2: an alias (`*name`)"},
        Hostile{"alias of itself", "&a [*a]\n", "r.yaml:1: an alias"},
        Hostile{"merge of an alias", "a: &x {b: 1}\nc:\n  <<: *x\n", "r.yaml:3: an alias"},
        Hostile{"alias as key", "a: &x b\n*x : 1\n", "r.yaml:2: an alias"},
        Hostile{"aliases bomb", aliases_bomb(), "r.yaml:2: an alias"},
        Hostile{"tag", "a: !!str 1\n", "r.yaml:1: the tag `tag:yaml.org,2002:str`"},
        Hostile{"local tag", "a: 1\nb: !thing {x: 1}\n", "r.yaml:2: the tag `!thing`"},
        Hostile{"python tag", "!!python/object/apply:os.system [ls]\n", "r.yaml:1: the tag"},
        Hostile{"second document", "a: 1\n---\nb: 2\n", "r.yaml:2: a second document"},
        Hostile{"empty second document", "a: 1\n---\n", "r.yaml:2: a second document"},
        Hostile{"list as key", "? [a, b]\n: 1\n", "r.yaml:1: a list as a key"},
        Hostile{"map as key", "{{a: 1}: 2}\n", "r.yaml:1: a mapping as a key"},
        Hostile{"null as key", "a: 1\n~: 2\n", "r.yaml:2: nothing as a key"},
        Hostile{"unclosed list", "a: 1\nb: [1, 2\n", "not valid YAML"},
        Hostile{"unclosed map", "a: {b: 1\n", "not valid YAML"},
        Hostile{"unclosed quote", "a: \"b\n", "not valid YAML"},
        Hostile{"unclosed single quote", "a: 'b", "not valid YAML"},
        Hostile{"tab as indent", "a:\n\tb: 1\n", "r.yaml:2: not valid YAML"},
        Hostile{"bad indent", "a:\n    b: 1\n  c: 2\n", "r.yaml:3: not valid YAML"},
        Hostile{"value twice", "a: b: c\n", "r.yaml:1: not valid YAML"},
        Hostile{"bad escape", "a: \"\\q\"\n", "r.yaml:1: not valid YAML"},
        Hostile{"surrogate escape", "a: \"\\ud800\"\n", "r.yaml:1: not valid YAML"},
        Hostile{"NUL byte", std::string("a: 1\nb: \0\n", 10), "r.yaml:2: not text in UTF-8"},
        Hostile{"NUL by escape", "a: 1\nb: \"x\\0y\"\n", "r.yaml:2: text with a NUL"},
        Hostile{"bad UTF-8", "a: \xff\xfe\n", "r.yaml:1: not text in UTF-8"},
        Hostile{"overlong UTF-8", "a: 1\n# \xc0\xaf\n", "r.yaml:2: not text in UTF-8"},
        Hostile{"UTF-16",
                std::string("\xff\xfe"
                            "a\0:\0 \0"
                            "1\0",
                            10),
                "r.yaml:1: not text in UTF-8"},
        Hostile{"deep flow lists", repeat("[", 100'000), "r.yaml:1: nested more than 32 deep"},
        Hostile{"deep flow maps", repeat("{a: ", 10'000), "r.yaml:1: nested more than 32 deep"},
        Hostile{"deep block lists", repeat("- ", 10'000), "r.yaml:1: nested more than 32 deep"},
        Hostile{"too many values", "[" + repeat("1,", 10'000) + "1]",
                "r.yaml:1: more than 10000 values"},
        Hostile{"too long", repeat("# 0123456789\n", 90'000), "bytes, expected at most 1048576"}),
    sample::case_name<Hostile>);

TEST(YamlParse, CollectsSeveralProblems) {
  const auto message =
      testing::message_of<ConfigError>([] { parse("a: &x 1\nb: 2\nb: 3\nc: *x\n"); });
  EXPECT_EQ(message,
            "r.yaml:1: an anchor (`&name`) is not allowed here; remove it\n"
            "r.yaml:3: the key `b` is given twice in this mapping; remove one\n"
            "r.yaml:4: an alias (`*name`) is not allowed here; write the value out");
}

TEST(YamlParse, TruncationsAndBitFlipsNeverCrash) {
  const std::string text =
      "name: x\nlist: [1, 2.5, \"q\\n\"]\nmap:\n  - {kind: a, b: 'c'}\n  - |\n    text\n# c\nlast: "
      "null\n";
  const auto survives = [](const std::string& damaged) {
    ProblemList problems("r.yaml", {});
    parse_yaml(damaged, 0, problems);
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    survives(text.substr(0, i));
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      survives(damaged);
    }
  }
}

}  // namespace
}  // namespace distill::recipe::detail
