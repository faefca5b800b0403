#include <distill/core/describe.h>

#include <array>

#include <gtest/gtest.h>

namespace distill::core {
namespace {

enum class Shape { kRound, kSquare };
constexpr std::array<std::string_view, 2> choice_names(Shape) {
  return {"round", "square"};
}

struct Inner {
  double x = 1.5;
};
void describe(FieldVisitor& visit, Inner& inner) {
  visit("x", inner.x, "a number");
}
void validate(const Inner& inner, Problems& problems) {
  if (inner.x < 0) problems.add("x", "must not be negative");
}

struct Outer {
  bool flag = false;
  std::int64_t count = 3;
  std::string name;
  Shape shape = Shape::kSquare;
  Inner inner;
  std::optional<Inner> maybe;
  std::vector<double> numbers = {1, 2};
  std::variant<std::int64_t, std::vector<std::int64_t>> either = std::int64_t{4};
};
void describe(FieldVisitor& visit, Outer& o) {
  visit("flag", o.flag, "");
  visit("count", o.count, "");
  visit.required("name", o.name, "");
  visit("shape", o.shape, "");
  visit("inner", o.inner, "");
  visit("maybe", o.maybe, "");
  visit("numbers", o.numbers, "");
  visit("either", o.either, "");
}

struct Collect : FieldVisitor {
  std::vector<std::pair<Field, ValueRef>> fields;
  void field(const Field& field, const ValueRef& value) override {
    fields.emplace_back(field, value);
  }
};

TEST(Describe, VisitsEveryFieldWithItsKind) {
  Outer outer;
  Collect collect;
  describe(collect, outer);
  ASSERT_EQ(collect.fields.size(), 8u);
  EXPECT_TRUE(collect.fields[2].first.required);
  EXPECT_FALSE(collect.fields[0].first.required);
  *std::get<bool*>(collect.fields[0].second) = true;
  EXPECT_TRUE(outer.flag);
  const auto& choice = std::get<ChoiceRef>(collect.fields[3].second);
  EXPECT_EQ(choice.names, (std::vector<std::string>{"round", "square"}));
  EXPECT_EQ(choice.get(), 1u);
  choice.set(0);
  EXPECT_EQ(outer.shape, Shape::kRound);
}

TEST(Describe, StructsAreValidatedInPlace) {
  Inner inner{-1};
  Problems problems;
  struct_ref(inner).validate(problems);
  ASSERT_EQ(problems.items().size(), 1u);
  EXPECT_EQ(problems.items()[0].field, "x");
}

TEST(Describe, OptionalListAndVariantChangeTheStruct) {
  Outer outer;
  Collect collect;
  describe(collect, outer);
  const auto& maybe = std::get<OptionalRef>(collect.fields[5].second);
  EXPECT_FALSE(maybe.has_value());
  maybe.value();
  EXPECT_TRUE(outer.maybe.has_value());
  const auto& list = std::get<ListRef>(collect.fields[6].second);
  list.clear();
  *std::get<double*>(list.append()) = 9;
  EXPECT_EQ(outer.numbers, std::vector<double>{9});
  const auto& either = std::get<OneOfRef>(collect.fields[7].second);
  EXPECT_EQ(either.active(), 0u);
  EXPECT_EQ(*std::get<std::int64_t*>(either.select(0)), 4);
  *std::get<std::int64_t*>(std::get<ListRef>(either.select(1)).append()) = 8;
  EXPECT_EQ(std::get<1>(outer.either), std::vector<std::int64_t>{8});
}

}  // namespace
}  // namespace distill::core
