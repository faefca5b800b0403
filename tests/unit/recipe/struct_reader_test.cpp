#include "recipe/struct_reader.h"

#include <algorithm>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/temp_folder.h"
#include "unit/recipe/case_name.h"
#include "unit/recipe/read_sample.h"

namespace distill::recipe::sample {
namespace {

TEST(StructReader, FillsEveryKindOfField) {
  const Engines engines = make_engines();
  const Sample s = read_sample(engines, R"(
name: run 1
flag: true
count: -7
rate: 2.0e-5
shape: square
part: {path: a.txt}
extra: {path: b.txt, weight: 2}
steps: 12
numbers: [0.9, 1]
parts:
  - {path: c.txt}
  - path: d.txt
    weight: 0.5
layers: [0, 3]
engine: {kind: slow, reason: old}
more: [{kind: fast}, {kind: slow, reason: heavy}]
)");
  EXPECT_EQ(s.name, "run 1");
  EXPECT_TRUE(s.flag);
  EXPECT_EQ(s.count, -7);
  EXPECT_EQ(s.rate, 2.0e-5);
  EXPECT_EQ(s.shape, Shape::kSquare);
  EXPECT_EQ(s.part.path, "a.txt");
  EXPECT_EQ(s.extra->weight, 2.0);
  EXPECT_EQ(s.steps, 12);
  EXPECT_EQ(s.numbers, (std::vector<double>{0.9, 1.0}));
  EXPECT_EQ(s.parts.at(1).weight, 0.5);
  EXPECT_EQ(std::get<1>(s.layers), (std::vector<std::int64_t>{0, 3}));
  EXPECT_EQ(s.engine.options<Slow>()->reason, "old");
  EXPECT_EQ(s.more.items().at(1).kind(), "slow");
}

TEST(StructReader, WhatIsNotGivenKeepsItsDefault) {
  const Engines engines = make_engines();
  const Sample s = read_sample(engines, "name: x\nextra: null\nengine: {speed: 9}\nlayers: 2\n");
  EXPECT_EQ(s.count, 3);
  EXPECT_EQ(s.numbers, (std::vector<double>{1, 2}));
  EXPECT_FALSE(s.extra.has_value());
  EXPECT_EQ(s.engine.options<Fast>()->speed, 9);
  EXPECT_EQ(std::get<0>(s.layers), 2);
  EXPECT_EQ(read_sample(engines, "name: x\ncount: -9223372036854775808").count,
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(read_sample(engines, "name: 7").name, "7");
}

struct Bad {
  const char* what;
  std::string text;  ///< after a first line `name: x`
  std::string message;
};

class StructReaderHostile : public ::testing::TestWithParam<Bad> {};

TEST_P(StructReaderHostile, IsRefusedWithLineAndPath) {
  const Engines engines = make_engines();
  const auto message = testing::message_of<ConfigError>(
      [&] { read_sample(engines, "name: x\n" + GetParam().text); });
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_LT(message.size(), 300u);
}

const std::string kInteger = " given, expected an integer in plain decimal digits";
const std::string kNumber = " given, expected a finite number";

INSTANTIATE_TEST_SUITE_P(
    Cases, StructReaderHostile,
    ::testing::Values(
        Bad{"leading zero", "count: 010", "r.yaml:2: count: `010`" + kInteger},
        Bad{"underscore", "count: 1_000", "`1_000`" + kInteger},
        Bad{"comma", "count: 1,000", "`1,000`" + kInteger},
        Bad{"fraction for integer", "count: 4.7", "`4.7`" + kInteger},
        Bad{"whole fraction for integer", "count: 4.0", "`4.0`" + kInteger},
        Bad{"exponent for integer", "count: 1e3", "`1e3`" + kInteger},
        Bad{"hexadecimal", "count: 0x10", "`0x10`" + kInteger},
        Bad{"octal", "count: 0o7", "`0o7`" + kInteger}, Bad{"plus", "count: +5", "`+5`" + kInteger},
        Bad{"base sixty", "count: 1:30", "`1:30`" + kInteger},
        Bad{"2 to the 63", "count: 9223372036854775808", "expected an integer that fits 64 bits"},
        Bad{"below", "count: -9223372036854775809", "expected an integer that fits 64 bits"},
        Bad{"huge", "count: 99999999999999999999999999", "expected an integer that fits 64 bits"},
        Bad{"quoted integer", "count: \"4\"", "the text \"4\"" + kInteger},
        Bad{"word for integer", "count: many", "`many`" + kInteger},
        Bad{"boolean for integer", "count: true", "`true`" + kInteger},
        Bad{"null for integer", "count: null", "nothing" + kInteger},
        Bad{"empty for integer", "count:", "r.yaml:2: count: nothing" + kInteger},
        Bad{"list for integer", "count: [1]", "a list" + kInteger},
        Bad{"infinity", "rate: .inf", "`.inf`" + kNumber},
        Bad{"nan", "rate: .nan", "`.nan`" + kNumber},
        Bad{"bare nan", "rate: nan", "`nan`" + kNumber},
        Bad{"overflow", "rate: 1e999", "expected a number that fits double precision"},
        Bad{"underflow", "rate: 1e-999", "expected a number that fits double precision"},
        Bad{"point first", "rate: .5", "`.5`" + kNumber},
        Bad{"point last", "rate: 5.", "`5.`" + kNumber},
        Bad{"no exponent", "rate: 1e", "`1e`" + kNumber},
        Bad{"hexadecimal number", "rate: 0x1p3", "`0x1p3`" + kNumber},
        Bad{"fraction", "rate: 1/3", "`1/3`" + kNumber},
        Bad{"quoted number", "rate: '1.0'", "the text \"1.0\"" + kNumber},
        Bad{"yes", "flag: yes", "r.yaml:2: flag: `yes` given, expected true or false"},
        Bad{"capital True", "flag: True", "`True` given, expected true or false"},
        Bad{"one for boolean", "flag: 1", "`1` given, expected true or false"},
        Bad{"quoted true", "flag: \"true\"", "the text \"true\" given, expected true or false"},
        Bad{"choice", "shape: sqare",
            "r.yaml:2: shape: `sqare` given, expected one of round, square (did you mean "
            "`square`?)"},
        Bad{"map for choice", "shape: {round: 1}",
            "a mapping given, expected one of round, square"},
        Bad{"list for text", "part: {path: [a]}",
            "r.yaml:2: part.path: a list given, expected text"},
        Bad{"null for text", "part: {path: ~}", "part.path: nothing given, expected text"},
        Bad{"scalar for list", "numbers: 0.9", "numbers: `0.9` given, expected a list `[...]`"},
        Bad{"map for list", "numbers: {a: 1}", "numbers: a mapping given, expected a list"},
        Bad{"null for list", "numbers:", "numbers: nothing given, expected a list"},
        Bad{"bad item", "numbers: [0.9,\n  x]", "r.yaml:3: numbers.1: `x`" + kNumber},
        Bad{"scalar for struct", "part: 5", "part: `5` given, expected a mapping"},
        Bad{"list for struct", "part: [5]", "part: a list given, expected a mapping"},
        Bad{"null for struct", "part:", "part: nothing given, expected a mapping"},
        Bad{"missing in list", "parts:\n  - weight: 2",
            "r.yaml:3: parts.0.path: missing; it is the file"},
        Bad{"bad in one of", "layers: x", "layers: `x`" + kInteger},
        Bad{"bad item in one of", "layers: [0, x]", "layers.1: `x`" + kInteger},
        Bad{"map in one of", "layers: {a: 1}", "layers: a mapping given, expected a list"},
        Bad{"unknown kind", "engine: {kind: fats}",
            "engine.kind: `fats` given, expected one of fast, slow (did you mean `fast`?)"},
        Bad{"kind is a list", "engine: {kind: [fast]}",
            "engine.kind: a list given, expected one of fast, slow"},
        Bad{"no kind", "more: [{speed: 1}]", "more.0.kind: missing, expected one of fast, slow"},
        Bad{"scalar for component", "engine: fast",
            "engine: `fast` given, expected a mapping with a `kind`"},
        Bad{"other kinds key", "engine: {kind: slow, reason: a, speed: 1}",
            "engine.speed: unknown key, expected one of kind, reason"},
        Bad{"missing in component", "engine: {kind: slow}",
            "engine.reason: missing; it is why it is slow"},
        Bad{"unknown key", "\nshpae: round",
            "r.yaml:3: shpae: unknown key (did you mean `shape`?), expected one of name, flag"},
        Bad{"unknown inside", "part: {path: a, wieght: 1}",
            "part.wieght: unknown key (did you mean `weight`?), expected one of path, weight"},
        Bad{"merge key", "part:\n  path: a\n  <<: {weight: 1}", "r.yaml:4: part.<<: unknown key"},
        Bad{"control characters in key", "\"a\\eb\": 1", "a\\x1bb: unknown key"},
        Bad{"range", "count: 101", "r.yaml:2: count: must be at most 100"},
        Bad{"range inside a list", "parts:\n- path: a\n- path: b\n  weight: -1",
            "r.yaml:5: parts.1.weight: must be positive"},
        Bad{"dotted field", "parts:\n- path: a\n- path: taken",
            "r.yaml:4: parts.1.path: is taken"}),
    case_name<Bad>);

TEST(StructReader, ReportsEverythingTogetherInOrder) {
  const Engines engines = make_engines();
  const auto message = testing::message_of<ConfigError>([&] {
    read_sample(engines,
                "nam: x\ncount: 4.5\npart:\n  path: a\n  weight: -1\n  colour: red\n"
                "engine: {kind: slo}\n");
  });
  EXPECT_EQ(
      message,
      "r.yaml:1: name: missing; it is the name\n"
      "r.yaml:1: nam: unknown key (did you mean `name`?), expected one of name, flag, count, rate, "
      "shape, part, extra, steps, numbers, parts, layers, engine, more\n"
      "r.yaml:2: count: `4.5` given, expected an integer in plain decimal digits\n"
      "r.yaml:5: part.weight: must be positive\n"
      "r.yaml:6: part.colour: unknown key, expected one of path, weight\n"
      "r.yaml:7: engine.kind: `slo` given, expected one of fast, slow (did you mean `slow`?)");
}

TEST(StructReader, LimitsTheNumberOfLines) {
  const Engines engines = make_engines();
  std::string text = "name: x\n";
  for (int i = 0; i < 60; ++i) text += "zz" + std::to_string(i) + ": 1\n";
  const auto message = testing::message_of<ConfigError>([&] { read_sample(engines, text); });
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 50);
  EXPECT_NE(message.find("r.yaml: and 10 more problems"), std::string::npos);
}

TEST(StructReader, RootMustBeAMapping) {
  const Engines engines = make_engines();
  EXPECT_EQ(testing::message_of<ConfigError>([&] { read_sample(engines, "[1]"); }),
            "r.yaml:1: a list given, expected a mapping of keys and values");
  EXPECT_NE(
      testing::message_of<ConfigError>([&] { read_sample(engines, ""); }).find("name: missing"),
      std::string::npos);
}

}  // namespace
}  // namespace distill::recipe::sample
