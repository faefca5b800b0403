#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/io/json_value.h>
#include <distill/lora/choose.h>
#include <distill/lora/initialise.h>
#include <distill/models/check.h>
#include <distill/models/fingerprint.h>

#include "unit/lora/reference_adapters.h"

namespace distill::lora {
namespace {

using distill::testing::message_of;
using distill::testing::TempFolder;
using distill::testing::tiny_llama;

std::shared_ptr<models::CausalLm> adapted(const models::AdapterChoice& choice) {
  auto model = models::load_causal_lm(tiny_llama("untied"), {.adapters = choice});
  initialise(*model, Init::kGaussian, 1);
  return model;
}

std::string config_of(const models::AdapterChoice& choice) {
  const TempFolder folder;
  save_adapter(*adapted(choice), folder / "out", {"models/base", "f00"});
  return core::read_file(folder / "out/adapter_config.json", 1 << 20);
}

const nn::AdapterOptions kFour{.rank = 4, .alpha = 8};
const std::string kQ0 = "model.layers.0.self_attn.q_proj", kQ1 = "model.layers.1.self_attn.q_proj";

TEST(SaveAdapter, TargetsAreEndingsWhereTheyMeanNothingElse) {
  EXPECT_NE(config_of({{kQ0, kFour}, {kQ1, kFour}}).find("[\n    \"q_proj\"\n  ]"),
            std::string::npos);
  EXPECT_NE(config_of({{kQ1, kFour}}).find("[\n    \"" + kQ1 + "\"\n  ]"), std::string::npos);
}

TEST(SaveAdapter, OtherRanksBecomePatterns) {
  const std::string text = config_of({{kQ0, kFour}, {kQ1, {.rank = 2, .alpha = 3}}});
  const io::JsonValue value = io::parse_json(text, "adapter_config.json");
  const io::JsonCursor json(value, "adapter_config.json");
  EXPECT_EQ(json.at("r").as_int(), 4);
  EXPECT_EQ(json.at("rank_pattern").at(kQ1).as_int(), 2);
  EXPECT_EQ(json.at("alpha_pattern").at(kQ1).as_int(), 3);
  EXPECT_EQ(json.at("base_model_name_or_path").as_string(), "models/base");
}

TEST(SaveAdapter, NothingIsOverwritten) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "out");
  std::ofstream(folder / "out/kept") << "x";
  EXPECT_NE(message_of<InputError>([&] {
              save_adapter(*adapted({{kQ0, kFour}}), folder / "out", {"b", ""});
            }).find("exists already"),
            std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(folder / "out/kept"));
}

TEST(SaveAdapter, AnotherBaseIsRefusedByItsFingerprint) {
  const TempFolder folder;
  const auto base = tiny_llama("untied");
  save_adapter(*adapted({{kQ0, kFour}}), folder / "out", {base, models::fingerprint(base)});
  EXPECT_NO_THROW(load_with_adapter(base, folder / "out", {}));
  // The same shapes, other weights.
  std::filesystem::create_directory(folder / "other");
  std::filesystem::copy_file(base / "config.json", folder / "other/config.json");
  const auto model = models::load_causal_lm(base, {.writable = true});
  std::vector<io::NamedTensor> weights;
  for (const auto& parameter : model->parameters()) {
    weights.emplace_back(parameter.name, parameter.tensor * 1.01);
  }
  io::write_safetensors(folder / "other/model.safetensors", weights, {{"format", "pt"}});
  const std::string message =
      message_of<InputError>([&] { load_with_adapter(folder / "other", folder / "out", {}); });
  EXPECT_NE(message.find("was trained on another base"), std::string::npos) << message;
  EXPECT_NO_THROW(load_with_adapter(folder / "other", folder / "out", {}, {.any_base = true}));
}

// PEFT's files leave experts out, by version; ours name every one.
TEST(SaveAdapter, AMissingExpertIsNoticed) {
  const TempFolder folder;
  const auto base = distill::testing::tiny_model("qwen3_moe");
  LoraOptions options;
  options.rank = 2;
  options.experts = true;
  const auto choice = choose(options, models::describe_causal_lm(base, {}).adapter_sites);
  const auto model = models::load_causal_lm(base, {.adapters = choice});
  initialise(*model, Init::kKaiming, 1);
  save_adapter(*model, folder / "out", {base, models::fingerprint(base)});
  EXPECT_NO_THROW(load_with_adapter(base, folder / "out", {}));
  const auto path = folder / "out/adapter_model.safetensors";
  const auto metadata = io::SafetensorsFile::open(path).metadata();
  std::vector<io::NamedTensor> kept;
  for (const auto& [name, tensor] : distill::testing::read_tensors(path)) {
    if (name.find("experts.3.up_proj") == std::string::npos)
      kept.emplace_back(name, tensor.clone());
  }
  io::write_safetensors(path, kept, metadata);
  const std::string message =
      message_of<FormatError>([&] { load_with_adapter(base, folder / "out", {}); });
  EXPECT_NE(message.find("has no tensors of `model.layers.1.mlp.experts.3.up_proj`"),
            std::string::npos)
      << message;
}

TEST(SaveAdapter, DropoutIsThatOfTheProjections) {
  const std::string text =
      config_of({{"model.embed_tokens", kFour}, {kQ0, {.rank = 4, .alpha = 8, .dropout = 0.25}}});
  EXPECT_NE(text.find("\"lora_dropout\": 0.25"), std::string::npos) << text;
}

TEST(Fingerprint, DoesNotDependOnShards) {
  const TempFolder folder;
  const auto base = tiny_llama("untied");
  std::vector<io::NamedTensor> weights;
  for (const auto& [name, tensor] : distill::testing::read_tensors(base / "model.safetensors")) {
    weights.emplace_back(name, tensor);
  }
  io::write_safetensors_folder(folder.path(), weights, {}, 4096);
  EXPECT_FALSE(std::filesystem::exists(folder / "model.safetensors"));
  EXPECT_EQ(models::fingerprint(folder.path()), models::fingerprint(base));
  weights.front().second = weights.front().second * 2;
  std::filesystem::create_directory(folder / "changed");
  io::write_safetensors_folder(folder / "changed", weights, {}, 1 << 30);
  EXPECT_NE(models::fingerprint(folder / "changed"), models::fingerprint(base));
}

}  // namespace
}  // namespace distill::lora
