#include "recipe/struct_writer.h"

#include <bit>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/random.h>
#include "recipe/differences.h"
#include "support/temp_folder.h"
#include "unit/recipe/read_sample.h"

namespace distill::recipe::sample {
namespace {

std::string write(Sample& sample) {
  return detail::emit_yaml(detail::to_node(core::struct_ref(sample)));
}

TEST(StructWriter, WritesEveryFieldInOrder) {
  const Engines engines = make_engines();
  Sample s = read_sample(engines, R"(
name: run 1
extra: {path: b.txt}
parts: [{path: c.txt}, {path: d.txt, weight: 0.1}]
layers: [0, 3]
more: [{kind: slow, reason: "true"}]
)");
  EXPECT_EQ(write(s), R"(name: "run 1"
flag: false
count: 3
rate: 0.5
shape: round
part:
  path: p
  weight: 1.0
extra:
  path: b.txt
  weight: 1.0
numbers: [1.0, 2.0]
parts:
  - path: c.txt
    weight: 1.0
  - path: d.txt
    weight: 0.1
layers: [0, 3]
engine:
  kind: fast
  speed: 3
more:
  - kind: slow
    reason: "true"
)");
}

TEST(StructWriter, ReadsBackToTheSame) {
  const Engines engines = make_engines();
  Sample s(engines);
  const std::vector<std::string> names = {
      "",        "null", "~",        "no",           "1e5",          "0x1",          "a: b",
      "# c",     "- d",  "[e",       "\"q\"",        "back\\slash",  "line\nbreak",  "tab\t",
      " space ", "a'b",  "\x01\x7f", "\xe4\xb8\xad", "*x",           "&x",           "!x",
      "%x",      "@x",   "a #b",     "\xc2\x85",     "\xe2\x80\xa8", "\xef\xbb\xbf", "end:",
      "a\r\nb"};
  for (const auto& name : names) {
    s.name = name;
    EXPECT_EQ(read_sample(engines, write(s)).name, name) << write(s);
  }
  s.name = "x";
  core::RandomState random(1);
  for (int i = 0; i < 2000; ++i) {
    s.rate = std::bit_cast<double>(random.next());
    if (!std::isfinite(s.rate) || std::abs(s.rate) < 1e-307) continue;
    s.count = static_cast<std::int64_t>(random.next() >> 1) % 100;
    const Sample back = read_sample(engines, write(s));
    EXPECT_EQ(back.rate, s.rate);
    EXPECT_EQ(back.count, s.count);
  }
}

TEST(StructWriter, InlineFormIsYamlToo) {
  const Engines engines = make_engines();
  Sample s(engines);
  s.name = "a, b";
  s.parts = {{"x", 1}, {"y: z", 2}};
  const std::string line = detail::emit_inline(detail::to_node(core::struct_ref(s)));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  Sample back = read_sample(engines, line);
  EXPECT_EQ(write(back), write(s));
}

std::vector<std::string> differences(const std::string& a, const std::string& b) {
  detail::ProblemList problems("r.yaml", {});
  const auto before = detail::parse_yaml(a, 0, problems);
  const auto after = detail::parse_yaml(b, 0, problems);
  problems.throw_if_any();
  return detail::differences(*before, *after);
}

TEST(Differences, NameEachLeafWithOldAndNew) {
  EXPECT_EQ(differences("a: 1\nb: {c: [1, 2]}\nd: [{e: 1}]\ng: 1",
                        "a: 1\nb: {c: [1, 3]}\nd: [{e: 2}]\nf: x"),
            (std::vector<std::string>{"b.c: [1, 2] -> [1, 3]", "d.0.e: 1 -> 2", "f: (not set) -> x",
                                      "g: 1 -> (not set)"}));
  EXPECT_TRUE(differences("a: 1\nb: [x, y]", "b:\n  - x\n  - y\na: 1").empty());
}

TEST(Differences, SeeWhatTheMessageCutsOff) {
  const std::string base(100, 'x');
  EXPECT_EQ(differences("a: " + base + "1", "a: " + base + "2").size(), 1u);
}

}  // namespace
}  // namespace distill::recipe::sample
