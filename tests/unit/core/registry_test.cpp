#include <distill/core/registry.h>

#include <gtest/gtest.h>

#include "support/temp_folder.h"

namespace distill::core {
namespace {

struct Animal {
  virtual ~Animal() = default;
  virtual std::string sound() const = 0;
};
struct DogOptions {
  std::int64_t barks = 1;
};
void describe(FieldVisitor& visit, DogOptions& options) {
  visit("barks", options.barks, "how often");
}
struct CatOptions {};
void describe(FieldVisitor&, CatOptions&) {}
struct Dog : Animal {
  explicit Dog(std::int64_t n) : barks(n) {}
  std::int64_t barks;
  std::string sound() const override { return concat("woof x", barks); }
};
struct Cat : Animal {
  std::string sound() const override { return "meow"; }
};

Registry<Animal> animals() {
  Registry<Animal> registry;
  registry.add<DogOptions>("dog",
                           [](const DogOptions& o) { return std::make_unique<Dog>(o.barks); });
  registry.add<CatOptions>("cat", [](const CatOptions&) { return std::make_unique<Cat>(); });
  return registry;
}

TEST(Registry, BuildsWithTheOptionsOfTheKind) {
  const auto registry = animals();
  Component<Animal> dog(registry, "dog");
  dog.options<DogOptions>()->barks = 3;
  EXPECT_EQ(dog.build()->sound(), "woof x3");
  EXPECT_EQ(dog.options<CatOptions>(), nullptr);
  EXPECT_EQ(Component<Animal>(registry, "cat").build()->sound(), "meow");
}

TEST(Registry, CopiesAreIndependent) {
  const auto registry = animals();
  Component<Animal> dog(registry, "dog");
  Component<Animal> copy = dog;
  copy.options<DogOptions>()->barks = 9;
  EXPECT_EQ(dog.options<DogOptions>()->barks, 1);
}

TEST(Registry, UnknownKindListsTheKnownOnes) {
  const auto registry = animals();
  Component<Animal> component(registry);
  EXPECT_EQ(testing::message_of<ConfigError>([&] { component.select("dgo"); }),
            "`dgo` is not a known kind (did you mean `dog`?); known: cat, dog");
  testing::message_of<ConfigError>([&] { component.build(); });
}

TEST(Registry, NamesAreUnique) {
  auto registry = animals();
  testing::message_of<ConfigError>([&] {
    registry.add<CatOptions>("cat", [](const CatOptions&) { return std::make_unique<Cat>(); });
  });
}

TEST(Registry, ListsAppendComponents) {
  const auto registry = animals();
  ComponentList<Animal> list(registry);
  const auto ref = std::get<ListRef>(list.make_value_ref());
  std::get<ComponentRef>(ref.append()).select("cat");
  ASSERT_EQ(list.items().size(), 1u);
  EXPECT_EQ(list.items()[0].kind(), "cat");
}

}  // namespace
}  // namespace distill::core
