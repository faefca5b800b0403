#include <distill/recipe/model_facts.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/load.h>
#include "support/temp_folder.h"

namespace distill::recipe {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";

/// The facts, read from headers alone, are those of the loaded model.
void expect_same_as_loaded(const KeepLayers* keep) {
  const ModelFacts facts = read_model_facts(kModel, keep);
  models::LoadOptions options;
  options.keep_layers = facts.layers;
  const auto model = models::load_causal_lm(kModel, options);
  std::map<std::string, std::int64_t> expected;
  for (const auto& p : model->parameters()) expected[p.name] = p.tensor.numel();
  std::map<std::string, std::int64_t> seen;
  for (const auto& p : facts.parameters) seen[p.name] = p.numel;
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(facts.num_parameters, model->shape().num_parameters);
  EXPECT_EQ(facts.hidden_size, model->shape().hidden_size);
  EXPECT_EQ(facts.vocab_size, model->shape().vocab_size);
  EXPECT_EQ(std::ssize(facts.layers), model->shape().num_layers);
}

TEST(ModelFacts, AreThoseOfTheLoadedModel) {
  expect_same_as_loaded(nullptr);
  const KeepLayers two = std::int64_t{2};
  expect_same_as_loaded(&two);
  const KeepLayers list = std::vector<std::int64_t>{3, 0};
  expect_same_as_loaded(&list);
}

TEST(ModelFacts, LayersMustBeThere) {
  const KeepLayers many = std::int64_t{5};
  EXPECT_NE(testing::message_of<ConfigError>([&] {
              read_model_facts(kModel, &many);
            }).find("student.init.keep_layers: 5, but "),
            std::string::npos);
  const KeepLayers list = std::vector<std::int64_t>{0, 4};
  EXPECT_NE(testing::message_of<ConfigError>([&] {
              read_model_facts(kModel, &list);
            }).find("student.init.keep_layers: no layer 4"),
            std::string::npos);
  EXPECT_THROW(read_model_facts("no/such/folder", nullptr), InputError);
}

TEST(ModelFacts, ConfigNumbersAreChecked) {
  const testing::TempFolder folder;
  std::ofstream(folder / "config.json") << R"({"num_hidden_layers": -4})";
  EXPECT_THROW(read_model_facts(folder.path(), nullptr), FormatError);
  std::ofstream(folder / "config.json") << R"({"num_hidden_layers": 4.7})";
  EXPECT_THROW(read_model_facts(folder.path(), nullptr), FormatError);
}

std::vector<std::string> frozen(const std::vector<std::string>& patterns) {
  const std::vector<std::string> names = {"model.embed.weight", "model.layers.0.q.weight",
                                          "model.layers.0.k.weight", "model.layers.10.q.weight",
                                          "model.norm.weight"};
  const auto flags = match_frozen(names, patterns);
  std::vector<std::string> out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (flags[i]) out.push_back(names[i]);
  }
  return out;
}

TEST(MatchFrozen, StarsStandForAnyText) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(frozen({}), Names{});
  EXPECT_EQ(frozen({"model.norm.weight"}), Names{"model.norm.weight"});
  EXPECT_EQ(frozen({"model.layers.0.*"}),
            (Names{"model.layers.0.q.weight", "model.layers.0.k.weight"}));
  EXPECT_EQ(frozen({"*.q.*"}), (Names{"model.layers.0.q.weight", "model.layers.10.q.weight"}));
  EXPECT_EQ(frozen({"*"}).size(), 5u);
  EXPECT_EQ(frozen({"**"}).size(), 5u);
  EXPECT_EQ(frozen({"model*norm*weight"}), Names{"model.norm.weight"});
  EXPECT_EQ(frozen({"*embed.weight", "*norm*"}),
            (Names{"model.embed.weight", "model.norm.weight"}));
}

TEST(MatchFrozen, APatternThatMatchesNothingIsAnError) {
  EXPECT_EQ(
      testing::message_of<ConfigError>([] {
        frozen({"*", "model.norms.weight"});
      }),
      "student.freeze.1: `model.norms.weight` matches no parameter (did you mean "
      "`model.norm.weight`?); there are 5, such as model.embed.weight, model.layers.0.q.weight, "
      "model.layers.0.k.weight, model.layers.10.q.weight");
  // A star does not let pieces overlap.
  EXPECT_THROW(frozen({"model.norm.weight*weight"}), ConfigError);
  EXPECT_THROW(frozen({"model.nor"}), ConfigError);
}

}  // namespace
}  // namespace distill::recipe
