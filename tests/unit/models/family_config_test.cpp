// What the config.json of each family may hold beside what all share, and what is refused.
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/io/json_value.h>
#include <distill/models/check.h>

#include "models/families.h"
#include "support/model_folders.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;
using testing::replaced;

std::string config_of(const std::string& name) {
  return core::read_file(testing::tiny_model(name) / "config.json", 1 << 20);
}

EmptyModel build(const std::string& text, const std::vector<std::int64_t>& keep_layers = {}) {
  const io::JsonValue json = io::parse_json(text, "config.json");
  const io::JsonCursor cursor(json, "config.json");
  return find_family(cursor).build(cursor, keep_layers);
}

struct Damage {
  std::string model;
  std::string from;
  std::string to;
  std::vector<std::string> expected;  ///< pieces of the message
};

class BadFamilyConfig : public ::testing::TestWithParam<Damage> {};

TEST_P(BadFamilyConfig, IsRefusedInOneLine) {
  const auto& [model, from, to, expected] = GetParam();
  const std::string text = config_of(model);
  EXPECT_NO_THROW(build(text));
  const std::string message = message_of<InputError>([&] {
    build(from.empty() ? replaced(text, "{", "{" + to + ",") : replaced(text, from, to));
  });
  EXPECT_EQ(message.find("config.json"), 0u) << message;
  for (const std::string& piece : expected) {
    EXPECT_NE(message.find(piece), std::string::npos) << message << "\n  lacks: " << piece;
  }
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_LT(message.size(), 300u) << message;
}

const std::string kFp8 =
    R"("quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [4, 4]})";

INSTANTIATE_TEST_SUITE_P(
    Shared, BadFamilyConfig,
    ::testing::Values(
        Damage{"qwen3", "\"silu\"", "\"gelu_pytorch_tanh\"", {"`hidden_act`", "only silu"}},
        Damage{"mistral_full", "\"default\"", "\"su\"", {"`rope_parameters.rope_type`", "su"}},
        Damage{"deepseek_v3", "\"yarn\"", "\"longrope\"", {"`rope_scaling.type`", "longrope"}},
        Damage{"qwen2", "\"num_key_value_heads\": 2,", "", {"`num_key_value_heads`"}},
        Damage{"qwen2", "", "\"use_mrope\": true", {"`use_mrope`"}},
        Damage{"qwen2",
               "Qwen2ForCausalLM",
               "LlamaForCausalLM",
               {"`architectures[0]`", "Qwen2ForCausalLM for model_type qwen2"}},
        Damage{"qwen3",
               "",
               R"("quantization_config": {"quant_method": "awq", "bits": 4})",
               {"`quantization_config.quant_method`", "awq", "only fp8"}},
        Damage{"deepseek_v3",
               "",
               replaced(kFp8, "e4m3", "e5m2"),
               {"`quantization_config.fmt`", "e5m2", "only e4m3"}},
        Damage{"deepseek_v3",
               "",
               replaced(kFp8, "\"fmt\"", "\"activation_scheme\": \"static\", \"fmt\""),
               {"`quantization_config.activation_scheme`", "static"}},
        Damage{"deepseek_v3",
               "",
               replaced(kFp8, "[4, 4]", "[4]"),
               {"`quantization_config.weight_block_size`", "two numbers"}},
        Damage{"deepseek_v3",
               "",
               replaced(kFp8, "[4, 4]", "[4, 0]"),
               {"`quantization_config.weight_block_size[1]`", "0"}}));

INSTANTIATE_TEST_SUITE_P(
    Windows, BadFamilyConfig,
    ::testing::Values(
        Damage{"qwen2_window",
               "\"sliding_window\": 16",
               "\"sliding_window\": null",
               {"`sliding_window`"}},
        Damage{"qwen2_window",
               "\"sliding_window\": 16",
               "\"sliding_window\": 0",
               {"`sliding_window`", "0"}},
        Damage{"qwen2_window",
               "\"use_sliding_window\": true",
               "\"use_sliding_window\": false",
               {"`layer_types[1]`", "sliding_attention, but `use_sliding_window` is false"}},
        Damage{"qwen2_window",
               "\"full_attention\",",
               "",
               {"`layer_types`", "each of the 2 layers, it has 1"}},
        Damage{"qwen2_window",
               "\"full_attention\"",
               "\"chunked_attention\"",
               {"`layer_types[0]`", "chunked_attention", "full_attention, sliding_attention"}},
        Damage{"qwen2",
               "\"use_sliding_window\": false,\n  \"sliding_window\": null,\n  "
               "\"max_window_layers\": 28",
               "\"use_sliding_window\": true, \"sliding_window\": 8",
               {"`max_window_layers`"}},
        Damage{"mistral_window", "\"sliding_window\": 20,", "", {"`sliding_window`"}},
        Damage{"mistral_window",
               "\"sliding_window\": 20",
               "\"sliding_window\": -1",
               {"`sliding_window`", "-1"}},
        Damage{"mistral_window",
               "",
               "\"layer_types\": [\"full_attention\", \"sliding_attention\"]",
               {"`layer_types`", "several kinds"}},
        Damage{"qwen3_moe",
               "\"use_sliding_window\": false",
               "\"use_sliding_window\": true",
               {"`use_sliding_window`"}},
        Damage{"qwen3", "\"head_dim\": 12,", "", {"`head_dim`"}}));

INSTANTIATE_TEST_SUITE_P(
    Experts, BadFamilyConfig,
    ::testing::Values(
        Damage{"qwen3_moe",
               "\"num_experts_per_tok\": 2",
               "\"num_experts_per_tok\": 9",
               {"`num_experts_per_tok`", "8", "9"}},
        Damage{"qwen3_moe", "\"num_experts\": 8", "\"num_experts\": 1000000000", {"`num_experts`"}},
        Damage{"qwen3_moe",
               "\"mlp_only_layers\": [\n    0\n  ]",
               "\"mlp_only_layers\": [2]",
               {"`mlp_only_layers[0]`", "2"}},
        Damage{
            "deepseek_v3", "\"sigmoid\"", "\"softmax\"", {"`scoring_func`", "softmax", "sigmoid"}},
        Damage{
            "deepseek_v2", "\"softmax\"", "\"sigmoid\"", {"`scoring_func`", "sigmoid", "softmax"}},
        Damage{
            "deepseek_v3", "\"noaux_tc\"", "\"greedy\"", {"`topk_method`", "greedy", "noaux_tc"}},
        Damage{"deepseek_v2",
               "\"greedy\"",
               "\"noaux_tc\"",
               {"`topk_method`", "noaux_tc", "greedy, group_limited_greedy"}},
        Damage{"deepseek_v2",
               "\"norm_topk_prob\": false",
               "\"norm_topk_prob\": true",
               {"`norm_topk_prob`", "must be false"}},
        Damage{"deepseek_v3",
               "\"moe_layer_freq\": 1",
               "\"moe_layer_freq\": 2",
               {"`moe_layer_freq`", "must be 1"}},
        Damage{"deepseek_v3",
               "\"n_group\": 4",
               "\"n_group\": 3",
               {"`n_group`", "divide n_routed_experts (8)", "3"}},
        Damage{
            "deepseek_v3", "\"n_group\": 4", "\"n_group\": 8", {"`n_group`", "one expert a group"}},
        Damage{"deepseek_v3", "\"topk_group\": 2", "\"topk_group\": 5", {"`topk_group`", "4", "5"}},
        Damage{"deepseek_v3",
               "\"num_experts_per_tok\": 2",
               "\"num_experts_per_tok\": 5",
               {"`num_experts_per_tok`", "at most the 4 experts", "5"}},
        Damage{"deepseek_v3",
               "\"num_key_value_heads\": 4",
               "\"num_key_value_heads\": 2",
               {"`num_key_value_heads`", "num_attention_heads"}},
        Damage{"deepseek_v3", "\"q_lora_rank\": 14,", "", {"`q_lora_rank`"}},
        Damage{"deepseek_v3",
               "\"qk_rope_head_dim\": 6",
               "\"qk_rope_head_dim\": 5",
               {"`qk_rope_head_dim`", "even"}},
        Damage{"deepseek_v3",
               "\"routed_scaling_factor\": 2.5",
               "\"routed_scaling_factor\": 0",
               {"`routed_scaling_factor`", "above 0"}},
        Damage{"deepseek_v2",
               "\"mlp_bias\": false",
               "\"mlp_bias\": true",
               {"`mlp_bias`", "must be false"}}));

TEST(FamilyConfig, OnlyLeadingLayersOfDeepSeekMayLackExperts) {
  const std::string text = config_of("deepseek_v3");
  EXPECT_NO_THROW(build(text, {0, 1}));
  EXPECT_NO_THROW(build(text, {1}));
  EXPECT_NE(message_of<ConfigError>([&] {
              build(text, {1, 0});
            }).find("name these first"),
            std::string::npos);
}

TEST(FamilyConfig, ActiveParametersAreThoseOfOneToken) {
  const auto shape = build(config_of("deepseek_v3")).model->shape();
  // One of two layers has 8 experts of three 32 x 12 matrices, of which a token passes 2.
  EXPECT_EQ(shape.num_parameters - shape.num_active_parameters, 6 * 3 * 32 * 12);
  const auto dense = build(config_of("qwen3")).model->shape();
  EXPECT_EQ(dense.num_parameters, dense.num_active_parameters);
}

TEST(PublishedConfigs, AreAccepted) {
  const auto shared = testing::shared_folder();
  if (!shared) GTEST_SKIP() << "no folder of shared configs (set DISTILL_SHARED)";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*shared / "configs")) {
    if (!std::filesystem::exists(entry.path() / "config.json")) continue;
    EXPECT_NO_THROW(check_config(entry.path())) << entry.path();
    ++count;
  }
  EXPECT_GT(count, 10);
}

TEST(PublishedConfigs, DescribeTheirModels) {
  const auto shared = testing::shared_folder();
  if (!shared) GTEST_SKIP() << "no folder of shared configs (set DISTILL_SHARED)";
  const auto v3 = describe_causal_lm(*shared / "configs/DeepSeek-V3", {});
  EXPECT_EQ(v3.family, "deepseek_v3");
  // The paper's 671 billion of which 37 billion are active, without the prediction layer.
  EXPECT_EQ(v3.shape.num_parameters, 671026404352);
  EXPECT_NEAR(static_cast<double>(v3.shape.num_active_parameters), 37.6e9, 0.1e9);
  const auto qwen = describe_causal_lm(*shared / "configs/Qwen2.5-7B", {});
  EXPECT_EQ(qwen.shape.num_parameters, 7615616512);
  const auto llama = describe_causal_lm(*shared / "configs/Llama-3.1-8B-Instruct", {});
  EXPECT_EQ(llama.shape.num_parameters, 8030261248);
}

}  // namespace
}  // namespace distill::models
