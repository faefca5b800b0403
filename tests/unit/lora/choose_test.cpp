#include <distill/lora/choose.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/check.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::lora {
namespace {

using distill::testing::message_of;
using distill::testing::tiny_model;

std::vector<models::AdapterSite> sites(const std::string& model = "untied") {
  return models::describe_causal_lm(tiny_model(model), {}).adapter_sites;
}

std::vector<std::string> modules(const models::AdapterChoice& choice) {
  std::vector<std::string> names;
  for (const auto& [module, options] : choice) names.push_back(module);
  return names;
}

LoraOptions with(Targets targets) {
  LoraOptions options;
  options.rank = 4;
  options.targets = std::move(targets);
  return options;
}

using List = std::vector<std::string>;

TEST(ChooseAdapters, AllLinearIsEveryProjectionAndNothingElse) {
  const auto choice = choose(with("all-linear"), sites());
  EXPECT_EQ(choice.size(), 14u);  // seven in each of two layers
  for (const auto& [module, options] : choice) {
    EXPECT_TRUE(module.ends_with("_proj")) << module;
    EXPECT_EQ(options.rank, 4);
    EXPECT_DOUBLE_EQ(options.alpha, 8);
    EXPECT_DOUBLE_EQ(options.scale(), 2);
  }
}

TEST(ChooseAdapters, ListsAreNamesAndEndingsAfterADot) {
  EXPECT_EQ(modules(choose(with(List{"q_proj", "model.layers.1.mlp.up_proj"}), sites())),
            (List{"model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj",
                  "model.layers.1.self_attn.q_proj"}));
  EXPECT_EQ(modules(choose(with(List{"embed_tokens"}), sites())), (List{"model.embed_tokens"}));
}

TEST(ChooseAdapters, AnExpressionMustMatchTheWholeName) {
  EXPECT_EQ(modules(choose(with(R"(.*layers\.1\..*(q|k)_proj)"), sites())),
            (List{"model.layers.1.self_attn.k_proj", "model.layers.1.self_attn.q_proj"}));
  EXPECT_NE(message_of<ConfigError>([] {
              choose(with("q_proj"), sites());
            }).find("targets: `q_proj` means no layer"),
            std::string::npos);
}

TEST(ChooseAdapters, ExpertsOnlyWhereAsked) {
  const auto all = sites("qwen3_moe");
  LoraOptions options = with("all-linear");
  for (const auto& [module, adapter] : choose(options, all)) {
    EXPECT_EQ(module.find("experts."), std::string::npos) << module;
  }
  const auto without = choose(options, all).size();
  options.experts = true;
  EXPECT_GT(choose(options, all).size(), without);
  EXPECT_GT(choose(with(R"(.*experts\.0\.up_proj)"), all).size(), 0u);
}

TEST(ChooseAdapters, TheFirstPatternThatMatchesCounts) {
  LoraOptions options = with("all-linear");
  options.alpha = 10;
  options.rank_pattern = {{"layers.0.*down_proj", 2, 3.0}, {"down_proj", 8, {}}};
  const auto choice = choose(options, sites());
  EXPECT_EQ(choice.at("model.layers.0.mlp.down_proj").rank, 2);
  EXPECT_DOUBLE_EQ(choice.at("model.layers.0.mlp.down_proj").alpha, 3);
  EXPECT_EQ(choice.at("model.layers.1.mlp.down_proj").rank, 8);
  EXPECT_DOUBLE_EQ(choice.at("model.layers.1.mlp.down_proj").alpha, 10);
  EXPECT_EQ(choice.at("model.layers.1.mlp.up_proj").rank, 4);
}

// Its input are ids: PEFT drops none either.
TEST(ChooseAdapters, NothingIsDroppedOfTheEmbedding) {
  LoraOptions options = with(List{"embed_tokens", "q_proj"});
  options.dropout = 0.25;
  for (const auto& [module, adapter] : choose(options, sites())) {
    EXPECT_EQ(adapter.dropout, module == "model.embed_tokens" ? 0 : 0.25) << module;
  }
}

TEST(ChooseAdapters, CountsWhatIsTrained) {
  const auto all = sites();
  LoraOptions options = with(List{"q_proj"});
  options.dora = true;
  const auto choice = choose(options, all);
  std::int64_t expected = 0;
  for (const auto& site : all) {
    if (site.module.ends_with("q_proj")) expected += 4 * (site.in + site.out) + site.out;
  }
  EXPECT_EQ(count_parameters(choice, all), expected);
}

struct Refusal {
  const char* name;
  LoraOptions options;
  const char* message;
};

std::vector<Refusal> refusals() {
  LoraOptions wide = with("all-linear"), unused = with(List{"q_proj"}), no_regex = with("(q_proj");
  wide.rank = 33;
  unused.rank_pattern = {{"k_proj", 2, {}}};
  LoraOptions slow = with("(([a-z._0-9])+)+[A-Z]");
  LoraOptions dropped = with(List{"embed_tokens"});
  dropped.dropout = 0.1;
  return {{"misspelt", with(List{"q_proj", "kproj"}),
           "targets.1: `kproj` means no layer (did you mean `k_proj`?)"},
          {"lists_what_exists", with(List{"x"}), "there are down_proj, embed_tokens, gate_proj"},
          {"too_wide", wide, "rank: 33 is above the smaller side of"},
          {"unused_pattern", unused, "rank_pattern.0: `k_proj` matches none of the targets"},
          {"no_expression", no_regex, "targets: `(q_proj` is no regular expression: missing"},
          {"endless", slow, "takes too long to match"},
          {"dropped_embedding", dropped, "dropout: falls on none of the targets"},
          {"head", with(List{"q_proj", "lm_head"}),
           "targets.1: `lm_head` names the head, which gets no adapter"},
          {"head_in_an_expression", with(".*(q_proj|lm_head)"),
           "targets: `.*(q_proj|lm_head)` names the head"}};
}

TEST(ChooseAdapters, RefusesByName) {
  for (const Refusal& refusal : refusals()) {
    const std::string message = message_of<ConfigError>([&] { choose(refusal.options, sites()); });
    EXPECT_NE(message.find(refusal.message), std::string::npos) << refusal.name << ": " << message;
  }
}

TEST(LoraOptions, RefusesValuesThatCannotBe) {
  const auto problems_of = [](const auto& change) {
    LoraOptions options;
    change(options);
    core::Problems problems;
    validate(options, problems);
    return problems.items().empty() ? "" : problems.items().front().field;
  };
  EXPECT_EQ(problems_of([](auto&) {}), "");
  EXPECT_EQ(problems_of([](auto& o) { o.rank = 0; }), "rank");
  EXPECT_EQ(problems_of([](auto& o) { o.rank = -3; }), "rank");
  EXPECT_EQ(problems_of([](auto& o) { o.alpha = std::nan(""); }), "alpha");
  EXPECT_EQ(problems_of([](auto& o) { o.alpha = 0.0; }), "alpha");
  EXPECT_EQ(problems_of([](auto& o) { o.alpha = 1e300; }), "alpha");
  EXPECT_EQ(problems_of([](auto& o) { o.dropout = 1.0; }), "dropout");
  EXPECT_EQ(problems_of([](auto& o) { o.targets = List{}; }), "targets");
  EXPECT_EQ(problems_of([](auto& o) { o.targets = List{"q_proj", ""}; }), "targets.1");
}

}  // namespace
}  // namespace distill::lora
