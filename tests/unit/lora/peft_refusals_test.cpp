#include <cmath>
#include <functional>

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>

#include "unit/lora/reference_adapters.h"

namespace distill::lora {
namespace {

using distill::testing::message_of;
using distill::testing::replaced;
using distill::testing::TempFolder;
using distill::testing::write_text;
using testing::ReferenceAdapter;

const std::string kQ0 = "base_model.model.model.layers.0.self_attn.q_proj";

/// A copy of the reference adapter `plain` that a test damages.
class Damaged {
 public:
  using Tensors = std::map<std::string, at::Tensor>;

  void edit_config(const std::string& from, const std::string& to) {
    config = replaced(config, from, to);
  }
  void load() {
    write_text(folder / "adapter_config.json", config);
    std::vector<io::NamedTensor> list(tensors.begin(), tensors.end());
    io::write_safetensors(folder / "adapter_model.safetensors", list, {});
    load_with_adapter(reference.base, folder.path(), {});
  }
  std::string message() {
    return message_of<InputError>([&] { load(); });
  }

  ReferenceAdapter reference{"plain"};
  TempFolder folder;
  std::string config = core::read_file(reference.folder / "adapter_config.json", 1 << 20);
  Tensors tensors = distill::testing::read_tensors(reference.folder / "adapter_model.safetensors");
};

struct Case {
  const char* name;
  std::function<void(Damaged&)> damage;
  const char* message;
};

const Case kCases[] = {
    {"missing_b", [](Damaged& d) { d.tensors.erase(kQ0 + ".lora_B.weight"); },
     "has no tensor `base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight`"},
    {"missing_a", [](Damaged& d) { d.tensors.erase(kQ0 + ".lora_A.weight"); },
     "`model.layers.0.self_attn.q_proj` has tensors, but no `lora_A.weight`"},
    {"missing_module",
     [](Damaged& d) {
       d.tensors.erase(kQ0 + ".lora_A.weight");
       d.tensors.erase(kQ0 + ".lora_B.weight");
     },
     "has no tensors of `model.layers.0.self_attn.q_proj`, which"},
    {"surplus", [](Damaged& d) { d.tensors[kQ0 + ".lora_magnitude_vector"] = at::ones({32}); },
     "lora_magnitude_vector` belongs to nothing"},
    {"unknown_tensor", [](Damaged& d) { d.tensors["base_model.model.x.bias"] = at::ones({2}); },
     "`base_model.model.x.bias` is no tensor of a LoRA adapter"},
    {"unknown_module",
     [](Damaged& d) {
       d.tensors["base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight"] =
           at::ones({4, 32});
     },
     "has tensors of `model.layers.7.self_attn.q_proj`, and"},
    {"head",
     [](Damaged& d) {
       d.tensors["base_model.model.lm_head.lora_A.weight"] = at::ones({4, 32});
     },
     "has an adapter of `lm_head`; the head gets none here: losses are fused with its product;"},
    {"magnitudes_missing",
     [](Damaged& d) { d.edit_config("\"use_dora\": false", "\"use_dora\": true"); },
     "has no tensor `base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector`"},
    {"shape",
     [](Damaged& d) {
       d.tensors[kQ0 + ".lora_B.weight"] = at::ones({31, 4});
     },
     "q_proj.lora_B.weight` is [31, 4], the base wants [32, 4]"},
    {"rank",
     [](Damaged& d) {
       d.tensors[kQ0 + ".lora_A.weight"] = at::ones({3, 32});
     },
     "has rank 3,"},
    {"vector", [](Damaged& d) { d.tensors[kQ0 + ".lora_A.weight"] = at::ones({4}); },
     "is no matrix [rank, in]"},
    {"nan",
     [](Damaged& d) {
       d.tensors[kQ0 + ".lora_A.weight"] = at::full({4, 32}, std::nan(""));
     },
     "holds NaN or Inf"},
    {"empty", [](Damaged& d) { d.tensors.clear(); }, "holds no adapter tensor"},
    {"zero_rank", [](Damaged& d) { d.edit_config("\"r\": 4", "\"r\": 0"); }, "`r`"},
    {"negative_alpha", [](Damaged& d) { d.edit_config("\"lora_alpha\": 6", "\"lora_alpha\": -6"); },
     "`lora_alpha` must be above 0"},
    {"huge_alpha", [](Damaged& d) { d.edit_config("\"lora_alpha\": 6", "\"lora_alpha\": 1e300"); },
     "`lora_alpha` must be above 0 and at most 1e+09"},
    {"text_alpha", [](Damaged& d) { d.edit_config("\"lora_alpha\": 6", "\"lora_alpha\": \"6\""); },
     "`lora_alpha` must be a number"},
    {"other_kind", [](Damaged& d) { d.edit_config("\"LORA\"", "\"IA3\""); },
     "`peft_type` is IA3, only LORA is known"},
    {"trained_biases", [](Damaged& d) { d.edit_config("\"bias\": \"none\"", "\"bias\": \"all\""); },
     "`bias` is not none"},
    {"modules_to_save",
     [](Damaged& d) {
       d.edit_config("\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]");
     },
     "`modules_to_save` is set"},
    {"transposed",
     [](Damaged& d) { d.edit_config("\"fan_in_fan_out\": false", "\"fan_in_fan_out\": true"); },
     "`fan_in_fan_out` is set"},
    {"of_the_future", [](Damaged& d) { d.edit_config("\"r\": 4", "\"r\": 4, \"use_magic\": 3"); },
     "`use_magic` is set"},
    {"pissa_unconverted",
     [](Damaged& d) {
       d.edit_config("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"");
     },
     "`init_lora_weights` is pissa: the adapter belongs to a changed base"},
    {"broken_json", [](Damaged& d) { d.config = "{\"r\": 4,"; }, "adapter_config.json:1:"},
    {"no_expression",
     [](Damaged& d) { d.edit_config("\"rank_pattern\": {}", "\"rank_pattern\": {\"(\": 4}"); },
     "is no regular expression"},
};

TEST(PeftRefusals, EachDamageIsNamed) {
  for (const Case& one : kCases) {
    Damaged damaged;
    one.damage(damaged);
    const std::string message = damaged.message();
    EXPECT_NE(message.find(one.message), std::string::npos) << one.name << ": " << message;
  }
}

TEST(PeftRefusals, PickledTensorsAreNotRead) {
  const ReferenceAdapter reference("plain");
  const TempFolder folder;
  std::filesystem::copy_file(reference.folder / "adapter_config.json",
                             folder / "adapter_config.json");
  write_text(folder / "adapter_model.bin", "x");
  EXPECT_NE(message_of<UnsupportedError>([&] {
              load_with_adapter(reference.base, folder.path(), {});
            }).find("pickled tensors are not read"),
            std::string::npos);
}

// Layers and excluded modules as PEFT reads them.
TEST(PeftRefusals, TensorsThatNoTargetMeansMayBeMissing) {
  const std::string layers = "\"layers_to_transform\": ", excluded = "\"exclude_modules\": ";
  const auto without_q0 = [](const std::string& key, const std::string& value) {
    Damaged damaged;
    damaged.tensors.erase(kQ0 + ".lora_A.weight");
    damaged.tensors.erase(kQ0 + ".lora_B.weight");
    damaged.edit_config(key + "null", key + value);
    damaged.load();
  };
  EXPECT_NO_THROW(without_q0(layers, "1"));
  EXPECT_NO_THROW(without_q0(layers, "[1]"));
  EXPECT_NO_THROW(without_q0(excluded, R"(["layers.0.self_attn.q_proj"])"));
  EXPECT_NO_THROW(without_q0(excluded, R"(".*\\.0\\..*q_proj")"));
  EXPECT_THROW(without_q0(layers, "[1, 0]"), FormatError);
  EXPECT_THROW(without_q0(excluded, R"(["up_proj"])"), FormatError);
  EXPECT_THROW(without_q0(layers, "\"all\""), FormatError);
}

TEST(PeftRefusals, AForeignEmbeddingIsRefused) {
  const ReferenceAdapter reference("embedding");
  const TempFolder folder;
  std::filesystem::copy_file(reference.folder / "adapter_config.json",
                             folder / "adapter_config.json");
  auto tensors = distill::testing::read_tensors(reference.folder / "adapter_model.safetensors");
  const auto save = [&](double factor) {
    tensors["base_model.model.model.embed_tokens.base_layer.weight"] =
        factor * distill::testing::read_tensors(reference.base / "model.safetensors")
                     .at("model.embed_tokens.weight");
    io::write_safetensors(folder / "adapter_model.safetensors",
                          std::vector<io::NamedTensor>(tensors.begin(), tensors.end()), {});
  };
  save(1.0);
  EXPECT_NO_THROW(load_with_adapter(reference.base, folder.path(), {}));
  save(2.0);
  EXPECT_THROW(load_with_adapter(reference.base, folder.path(), {}), UnsupportedError);
}

}  // namespace
}  // namespace distill::lora
