#include "recipe/overrides.h"

#include <string>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/temp_folder.h"
#include "unit/recipe/read_sample.h"

namespace distill::recipe::sample {
namespace {

const std::string kText =
    "name: x\ncount: 5\nmore:\n  - {kind: fast, speed: 1}\nparts: [{path: a}]\n";

TEST(Overrides, ReplaceAddAndIndex) {
  const Engines engines = make_engines();
  const Sample s = read_sample(
      engines, kText,
      {"count=6", "count=7", "more.0.speed=8", "parts.0.path=b=c.txt", "numbers=[3, 4]",
       "extra.path=e", "engine={kind: slow, reason: r}", "name=\"a: b\"", "steps=null"});
  EXPECT_EQ(s.count, 7);
  EXPECT_EQ(s.more.items().at(0).options<Fast>()->speed, 8);
  EXPECT_EQ(s.parts.at(0).path, "b=c.txt");
  EXPECT_EQ(s.numbers, (std::vector<double>{3, 4}));
  EXPECT_EQ(s.extra->path, "e");
  EXPECT_EQ(s.engine.kind(), "slow");
  EXPECT_EQ(s.name, "a: b");
  EXPECT_FALSE(s.steps.has_value());
}

TEST(Overrides, WorkOnAnEmptyRecipe) {
  const Engines engines = make_engines();
  EXPECT_EQ(read_sample(engines, "", {"name=y"}).name, "y");
}

TEST(Overrides, NamesIndexListsOfNamedMappings) {
  detail::ProblemList problems("r.yaml", {});
  auto root = detail::parse_yaml("list: [{name: a, x: 1}, {name: '1', x: 2}]\n", 0, problems);
  const std::vector<std::string> overrides = {"list.a.x=3", "list.1.x=4"};  // a place comes first
  detail::apply_overrides(*root, overrides, problems);
  problems.throw_if_any();
  const detail::Node& list = *root->find("list");
  EXPECT_EQ(list.children[0].find("x")->text, "3");
  EXPECT_EQ(list.children[1].find("x")->text, "4");
}

TEST(Overrides, OfAStageGoIntoACopyOfAListOfTheDefaults) {
  detail::ProblemList problems("r.yaml", {});
  auto root = detail::parse_yaml(
      "loss: [{kind: a, x: 1}, {kind: b, x: 2}]\n"
      "teacher: {kind: many, teachers: [{x: 3}]}\n"
      "stages: [{name: s}, {name: t, teacher: {kind: other}}]\n",
      0, problems);
  const std::vector<std::string> overrides = {"stages.s.loss.0.x=5", "stages.t.teacher.parts.0=6",
                                              "stages.t.teacher.teachers.0=7", "loss.1.x=8"};
  detail::apply_overrides(*root, overrides, problems);
  problems.throw_if_any();
  EXPECT_EQ(root->find("loss")->children[0].find("x")->text, "1");
  const auto& stages = root->find("stages")->children;
  const detail::Node& loss = *stages[0].find("loss");
  ASSERT_EQ(loss.children.size(), 2u);
  EXPECT_EQ(loss.children[0].find("x")->text, "5");
  EXPECT_EQ(loss.children[0].find("kind")->text, "a");
  EXPECT_EQ(loss.children[1].find("x")->text, "8");  // as other overrides leave the defaults
  EXPECT_EQ(stages[1].find("loss"), nullptr);
  // A teacher of another kind has nothing of the defaults, and what nobody has becomes a mapping.
  EXPECT_EQ(stages[1].find("teacher")->find("teachers")->kind, detail::Node::Kind::kMap);
  EXPECT_EQ(stages[1].find("teacher")->find("parts")->kind, detail::Node::Kind::kMap);
}

struct Bad {
  std::string override;
  std::string message;
};

TEST(Overrides, ErrorsNameTheOverride) {
  const Engines engines = make_engines();
  const std::vector<Bad> cases = {
      {"count", "override `count`: not of the form path.to.key=value"},
      {"=5", "override `=5`: not of the form"},
      {"a..b=5", "override `a..b=5`: not of the form"},
      {".count=5", "not of the form"},
      {"count.=5", "not of the form"},
      {"count=4.5", "override `count=4.5`: count: `4.5` given, expected an integer"},
      {"cuont=4", "override `cuont=4`: cuont: unknown key (did you mean `count`?)"},
      {"part.wieght=4", "override `part.wieght=4`: part.wieght: unknown key"},
      {"count.deep=4", "override `count.deep=4`: count: cannot set `deep` inside `5`"},
      {"parts.1.path=b", "override `parts.1.path=b`: parts: `1` does not index the list"},
      {"parts.-1.path=b", "`-1` does not index the list"},
      {"parts.x.path=b", "`x` does not index the list"},
      {"more.0.kind=slow", "more.0.reason: missing"},
      {"numbers=[1", "override `numbers=[1`: not valid YAML"},
      {"numbers=[1]\n---\n2", "a second document"},
      {"count=&a 5", "an anchor"},
      {"count=!!int 5", "the tag"},
      {"count=101", "override `count=101`: count: must be at most 100"},
      {"count=", "count: nothing given"},
      {std::string(5000, 'a') + "=1", "unknown key"},
  };
  for (const auto& bad : cases) {
    const auto message =
        testing::message_of<ConfigError>([&] { read_sample(engines, kText, {bad.override}); });
    EXPECT_NE(message.find(bad.message), std::string::npos) << bad.override << " gave " << message;
  }
}

TEST(Overrides, DeepPathsAreRefused) {
  const Engines engines = make_engines();
  std::string path = "a";
  for (int i = 0; i < 10'000; ++i) path += ".a";
  EXPECT_NE(testing::message_of<ConfigError>([&] {
              read_sample(engines, kText, {path + "=1"});
            }).find("a path of more than 32 names"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::recipe::sample
