// What config.json may hold, and the one line that says what is wrong with it.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/json_value.h>

#include "models/families.h"
#include "models/llama/config.h"
#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models::llama {
namespace {

using testing::message_of;
using testing::replaced;

const char* const kGood = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama",
  "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 5,
  "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 8,
  "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
  "rope_scaling": null, "tie_word_embeddings": true, "vocab_size": 512
})";

Config read(const std::string& text) {
  const io::JsonValue json = io::parse_json(text, "config.json");
  const io::JsonCursor cursor(json, "config.json");
  find_family(cursor).build(cursor, {});
  return read_config(cursor);
}

TEST(LlamaConfig, ReadsAll) {
  const Config config = read(kGood);
  EXPECT_EQ(config.sizes.vocab_size, 512);
  EXPECT_EQ(config.sizes.num_layers, 5);
  EXPECT_EQ(config.heads.num_kv_heads, 4);
  EXPECT_EQ(config.heads.head_dim, 8);
  EXPECT_EQ(config.sizes.rope.theta, 10000.0);
  EXPECT_TRUE(config.sizes.tied_head);
  EXPECT_FALSE(config.attention_bias);
}

TEST(LlamaConfig, FillsInWhatMayBeMissing) {
  std::string text = replaced(kGood, "\"num_key_value_heads\": 4, \"head_dim\": 8,", "");
  text = replaced(text, "\"tie_word_embeddings\": true,", "");
  text = replaced(text, "\"hidden_act\": \"silu\",", "\"sliding_window\": 4096, \"novel\": [1],");
  text = replaced(text, "\"architectures\": [\"LlamaForCausalLM\"],", "");
  const Config config = read(text);
  EXPECT_EQ(config.heads.num_kv_heads, 8);
  EXPECT_EQ(config.heads.head_dim, 8);
  EXPECT_FALSE(config.sizes.tied_head);
}

TEST(LlamaConfig, StretchedPositionsMayBeUsed) {
  const auto positions = [](const std::string& scaling) {
    return read(replaced(kGood, "\"rope_scaling\": null", "\"rope_scaling\": " + scaling))
        .sizes.max_positions;
  };
  EXPECT_EQ(positions(R"({"type": "linear", "factor": 4.0})"), 512);
  EXPECT_EQ(positions(R"({"type": "dynamic", "factor": 4.0})"), 2048);
  EXPECT_EQ(positions(R"({"type": "yarn", "factor": 4.0})"), 2048);
  EXPECT_EQ(
      positions(R"({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128})"),
      512);
  EXPECT_EQ(positions(R"({"type": "dynamic", "factor": 1e300})"), std::int64_t{1} << 30);
}

TEST(LlamaConfig, YarnFillsInItsFactors) {
  const auto rope = [](const std::string& scaling) {
    return read(replaced(kGood, "\"rope_scaling\": null", "\"rope_scaling\": " + scaling))
        .sizes.rope;
  };
  EXPECT_NEAR(rope(R"({"type": "yarn", "factor": 4.0})").attention_factor,
              0.1 * std::log(4.0) + 1.0, 1e-15);
  EXPECT_EQ(rope(R"({"type": "yarn", "factor": 4.0, "attention_factor": 1.5})").attention_factor,
            1.5);
  EXPECT_NEAR(rope(R"({"type": "yarn", "factor": 4.0, "mscale": 0.7, "mscale_all_dim": 1.0})")
                  .attention_factor,
              (0.07 * std::log(4.0) + 1.0) / (0.1 * std::log(4.0) + 1.0), 1e-15);
  EXPECT_EQ(rope(R"({"type": "yarn", "original_max_position_embeddings": 128})").factor, 4.0);
}

TEST(LlamaConfig, TheOldLengthMayStandBesideTheScaling) {
  const Config config =
      read(replaced(kGood, "\"rope_scaling\": null",
                    R"("original_max_position_embeddings": 64, "rope_scaling": {"type": "yarn",
                       "factor": 4.0, "original_max_position_embeddings": 128})"));
  EXPECT_EQ(config.sizes.rope.original_positions, 64.0);
}

TEST(LlamaConfig, ReadsPublishedLlama3Scaling) {
  const Config config = read(
      replaced(kGood, "\"rope_scaling\": null",
               R"("rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192})"));
  EXPECT_EQ(config.sizes.rope.type, nn::RopeType::kLlama3);
  EXPECT_EQ(config.sizes.rope.factor, 8.0);
  EXPECT_EQ(config.sizes.rope.original_positions, 8192.0);
}

struct Damage {
  std::string from;
  std::string to;
  std::vector<std::string> expected;  ///< pieces of the message
};

class BadConfig : public ::testing::TestWithParam<Damage> {};

TEST_P(BadConfig, IsRefusedInOneLine) {
  const Damage& damage = GetParam();
  const std::string message =
      message_of<InputError>([&] { read(replaced(kGood, damage.from, damage.to)); });
  EXPECT_EQ(message.find("config.json"), 0u) << message;
  for (const std::string& piece : damage.expected) {
    EXPECT_NE(message.find(piece), std::string::npos) << message << "\n  lacks: " << piece;
  }
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_LT(message.size(), 300u);
}

const std::string kNoScaling = "\"rope_scaling\": null";

INSTANTIATE_TEST_SUITE_P(
    Cases, BadConfig,
    ::testing::Values(
        Damage{"\"hidden_size\": 64", "\"hidden_size\": -1", {"`hidden_size`", "-1"}},
        Damage{"\"hidden_size\": 64", "\"hidden_size\": 0", {"`hidden_size`", "0"}},
        Damage{"\"hidden_size\": 64", "\"hidden_size\": 1000000000000000000", {"`hidden_size`"}},
        Damage{"\"hidden_size\": 64", "\"hidden_size\": 64.0", {"`hidden_size`", "integer"}},
        Damage{"\"hidden_size\": 64", "\"hidden_size\": \"64\"", {"`hidden_size`", "a string"}},
        Damage{"\"hidden_size\": 64", "\"hidden_size\": null", {"`hidden_size`"}},
        Damage{"\"hidden_size\": 64, ", "", {"`hidden_size`"}},
        Damage{"\"hidden_size\": 64", "\"hidden_size\": 1e400", {}},
        Damage{"\"intermediate_size\": 172",
               "\"intermediate_size\": 9223372036854775807",
               {"`intermediate_size`"}},
        Damage{"\"num_hidden_layers\": 5",
               "\"num_hidden_layers\": 1000000000",
               {"`num_hidden_layers`"}},
        Damage{"\"num_hidden_layers\": 5",
               "\"num_hidden_layers\": true",
               {"`num_hidden_layers`", "a boolean"}},
        Damage{
            "\"num_attention_heads\": 8", "\"num_attention_heads\": 0", {"`num_attention_heads`"}},
        Damage{"\"num_attention_heads\": 8",
               "\"num_attention_heads\": []",
               {"`num_attention_heads`", "an array"}},
        Damage{"\"num_key_value_heads\": 4",
               "\"num_key_value_heads\": 3",
               {"`num_key_value_heads`", "must divide num_attention_heads (8)", "3"}},
        Damage{"\"num_key_value_heads\": 4",
               "\"num_key_value_heads\": 16",
               {"`num_key_value_heads`", "must divide"}},
        Damage{"\"head_dim\": 8", "\"head_dim\": 7", {"`head_dim`", "even", "7"}},
        Damage{"\"num_attention_heads\": 8, \"num_key_value_heads\": 4, \"head_dim\": 8,",
               "\"num_attention_heads\": 7,",
               {"`num_attention_heads`", "must divide hidden_size (64)"}},
        Damage{"\"vocab_size\": 512", "\"vocab_size\": 99999999999", {"`vocab_size`"}},
        Damage{"\"max_position_embeddings\": 512",
               "\"max_position_embeddings\": -512",
               {"`max_position_embeddings`"}},
        Damage{"\"rms_norm_eps\": 1e-05",
               "\"rms_norm_eps\": 0",
               {"`rms_norm_eps`", "between 0 and 1"}},
        Damage{"\"rms_norm_eps\": 1e-05",
               "\"rms_norm_eps\": -1e-5",
               {"`rms_norm_eps`", "between 0 and 1"}},
        Damage{"\"rms_norm_eps\": 1e-05, ", "", {"`rms_norm_eps`"}},
        Damage{"\"rope_theta\": 10000.0", "\"rope_theta\": -1", {"`rope_theta`", "at least 1"}},
        Damage{"\"rope_theta\": 10000.0", "\"rope_theta\": {}", {"`rope_theta`", "number"}},
        Damage{kNoScaling, "\"rope_scaling\": 2", {"`rope_scaling", "object"}},
        Damage{kNoScaling,
               "\"rope_scaling\": {\"type\": \"longrope\", \"factor\": 2}",
               {"`rope_scaling.type`", "longrope", "default, linear, llama3, dynamic, yarn"}},
        Damage{kNoScaling, "\"rope_scaling\": {\"type\": \"yarn\"}", {"`rope_scaling.factor`"}},
        Damage{kNoScaling,
               "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 2, \"beta_fast\": 1}",
               {"`rope_scaling`", "beta_fast above beta_slow", "1 and 1"}},
        Damage{kNoScaling,
               "\"rope_scaling\": {\"type\": \"default\", \"mrope_section\": [4, 4]}",
               {"`rope_scaling.mrope_section`", "only one set of rotary settings"}},
        Damage{kNoScaling,
               "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 10000.0}}",
               {"`rope_parameters.full_attention`", "only one set of rotary settings"}},
        Damage{kNoScaling,
               "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 0.5}",
               {"`rope_scaling.factor`", "at least 1"}},
        Damage{
            kNoScaling, "\"rope_scaling\": {\"rope_type\": \"linear\"}", {"`rope_scaling.factor`"}},
        Damage{kNoScaling,
               "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 0}",
               {"`rope_scaling.factor`", "at least 1"}},
        Damage{kNoScaling,
               "\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8, "
               "\"low_freq_factor\": 4, \"high_freq_factor\": 4}",
               {"`rope_parameters.high_freq_factor`", "above low_freq_factor (4)"}},
        Damage{kNoScaling,
               "\"rope_parameters\": {\"rope_theta\": 10000.0, \"partial_rotary_factor\": 0.5}",
               {"`rope_parameters.partial_rotary_factor`", "0.5"}},
        Damage{kNoScaling, "\"partial_rotary_factor\": 0.25", {"`partial_rotary_factor`", "0.25"}},
        Damage{"\"silu\"", "\"gelu\"", {"`hidden_act`", "gelu", "silu"}},
        Damage{"\"silu\"", "7", {"`hidden_act`", "string"}},
        Damage{"\"tie_word_embeddings\": true",
               "\"tie_word_embeddings\": \"yes\"",
               {"`tie_word_embeddings`", "boolean"}},
        Damage{"\"tie_word_embeddings\": true",
               "\"attention_bias\": 1",
               {"`attention_bias`", "boolean"}},
        Damage{"\"tie_word_embeddings\": true",
               "\"quantization_config\": {\"bits\": 4}",
               {"`quantization_config`", "no quant_method", "fp32 or bf16"}},
        Damage{
            "\"tie_word_embeddings\": true", "\"is_encoder_decoder\": true", {"encoder-decoder"}},
        Damage{"\"model_type\": \"llama\"",
               "\"model_type\": \"gpt2\"",
               {"`model_type`", "gpt2", "known are", "llama"}},
        Damage{"\"model_type\": \"llama\"",
               "\"model_type\": \"a\\nb\\u0000\"",
               {"`model_type`", "known are"}},
        Damage{"\"model_type\": \"llama\",", "\"model_type\": 1,", {"`model_type`", "string"}},
        Damage{"\"model_type\": \"llama\",", "", {"`model_type`"}},
        Damage{"LlamaForCausalLM",
               "LlamaForSequenceClassification",
               {"`architectures", "LlamaForSequenceClassification", "LlamaForCausalLM"}},
        Damage{"[\"LlamaForCausalLM\"]", "{}", {"`architectures`", "array"}},
        Damage{"\"vocab_size\": 512", "\"vocab_size\": 512, \"vocab_size\": 4", {"vocab_size"}},
        Damage{"\"vocab_size\": 512\n}", "\"vocab_size\": 512", {}}));

}  // namespace
}  // namespace distill::models::llama
