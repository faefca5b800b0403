// Folders whose weights do not fit their config.
#include <limits>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/safetensors.h>
#include <distill/models/load.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;
using testing::TempFolder;
using testing::tiny_llama;

/// A folder with the weights of `tied_llama3`, to be damaged.
class LoadWeights : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy_file(tiny_llama("tied_llama3") / "config.json", folder / "config.json");
    for (const auto& [name, tensor] :
         testing::read_tensors(tiny_llama("tied_llama3") / "model.safetensors")) {
      weights[name] = tensor.clone();
    }
  }
  void write() {
    io::write_safetensors(folder / "model.safetensors", {weights.begin(), weights.end()}, {});
  }
  template <class E>
  std::string refusal(const LoadOptions& options = {}) {
    write();
    const std::string message = message_of<E>([&] { load_causal_lm(folder.path(), options); });
    EXPECT_EQ(message.find(folder.path().string()), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_LT(message.size(), 300u) << message;
    return message.substr(std::min(message.size(), folder.path().string().size()));
  }

  TempFolder folder;
  std::map<std::string, at::Tensor> weights;
  const std::string q_proj = "model.layers.1.self_attn.q_proj.weight";
};

TEST_F(LoadWeights, Missing) {
  weights.erase(q_proj);
  EXPECT_EQ(refusal<FormatError>(),
            ": weights do not fit config.json: 1 tensor missing (" + q_proj + ")");
}

TEST_F(LoadWeights, MissingSurplusAndMisshapedTogether) {
  weights.erase("model.layers.0.mlp.up_proj.weight");
  weights.erase("model.layers.1.mlp.up_proj.weight");
  weights.erase("model.norm.weight");
  weights["model.layers.2.x"] = at::zeros({1});
  weights[q_proj] = at::zeros({32, 48});
  EXPECT_EQ(
      refusal<FormatError>(),
      ": weights do not fit config.json: 3 tensors missing (model.layers.0.mlp.up_proj.weight, "
      "model.layers.1.mlp.up_proj.weight, ...); 1 tensor of another shape (" +
          q_proj + " is [32, 48], expected [48, 32]); 1 tensor too many (model.layers.2.x)");
}

TEST_F(LoadWeights, UntiedHeadIsMissing) {
  testing::edit_config(folder.path(), "\"tie_word_embeddings\": true",
                       "\"tie_word_embeddings\": false");
  EXPECT_NE(refusal<FormatError>().find("1 tensor missing (lm_head.weight)"), std::string::npos);
}

TEST_F(LoadWeights, TiedHeadMayBeStoredWhenItIsTheEmbedding) {
  weights["lm_head.weight"] = weights.at("model.embed_tokens.weight").clone();
  weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::zeros({6});
  write();
  const auto model = load_causal_lm(folder.path(), {});
  EXPECT_EQ(model->parameters().size(), 20u);
  weights["lm_head.weight"][3][4] += 1;
  EXPECT_NE(
      refusal<FormatError>().find("`lm_head.weight` differs from `model.embed_tokens.weight`"),
      std::string::npos);
}

TEST_F(LoadWeights, ConfigOfALargerModelAllocatesNothing) {
  testing::edit_config(folder.path(), "\"hidden_size\": 32", "\"hidden_size\": 1048576");
  testing::edit_config(folder.path(), "\"vocab_size\": 40", "\"vocab_size\": 16000000");
  EXPECT_NE(refusal<FormatError>().find("20 tensors of another shape"), std::string::npos);
}

TEST_F(LoadWeights, WrongDtype) {
  weights[q_proj] = at::zeros({48, 32}, at::kLong);
  EXPECT_NE(refusal<UnsupportedError>().find("`" + q_proj + "` has dtype Long"), std::string::npos);
}

TEST_F(LoadWeights, NonFiniteIsNamed) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    for (const auto stored : {at::kFloat, at::kBFloat16}) {
      for (const auto wanted : {at::kFloat, at::kBFloat16}) {
        weights[q_proj] = at::zeros({48, 32}, stored);
        weights[q_proj][47][31] = bad;
        LoadOptions options;
        options.dtype = wanted;
        EXPECT_EQ(refusal<FormatError>(options),
                  "/model.safetensors: `" + q_proj +
                      "` holds NaN or Inf; the weights are damaged or of a failed run");
        options.check_finite = false;
        EXPECT_NO_THROW(load_causal_lm(folder.path(), options));
      }
    }
  }
}

TEST_F(LoadWeights, OverflowOfTheConversionIsNamed) {
  weights[q_proj] = at::zeros({48, 32});
  weights[q_proj][0][0] = std::numeric_limits<float>::max();
  LoadOptions options;
  options.dtype = at::kBFloat16;
  EXPECT_NE(refusal<FormatError>(options).find("holds NaN or Inf after conversion to BFloat16"),
            std::string::npos);
}

TEST_F(LoadWeights, MissingFilesAreNamed) {
  EXPECT_NE(
      message_of<InputError>([&] { load_causal_lm(folder.path(), {}); }).find("model.safetensors"),
      std::string::npos);
  std::filesystem::remove(folder / "config.json");
  EXPECT_NE(message_of<InputError>([&] {
              load_causal_lm(folder.path(), {});
            }).find("config.json: no such file"),
            std::string::npos);
}

TEST_F(LoadWeights, WritableWeightsBelongToTheModel) {
  write();
  LoadOptions options;
  options.writable = true;
  const auto model = load_causal_lm(folder.path(), options);
  model->parameters().front().tensor.zero_();
  EXPECT_EQ(model->parameters().front().tensor.abs().sum().item<double>(), 0.0);
  const auto stored =
      testing::read_tensors(folder / "model.safetensors").at("model.embed_tokens.weight");
  EXPECT_TRUE(at::equal(stored, weights.at("model.embed_tokens.weight")));
}

TEST_F(LoadWeights, KeepLayersPicksAndOrders) {
  write();
  LoadOptions options;
  options.keep_layers = {1, 0};
  const auto model = load_causal_lm(folder.path(), options);
  EXPECT_EQ(model->shape().num_layers, 2);
  for (const auto& parameter : model->parameters()) {
    std::string source = parameter.name;
    if (const auto place = source.find("layers.0."); place != std::string::npos) {
      source.replace(place, 9, "layers.1.");
    } else if (const auto other = source.find("layers.1."); other != std::string::npos) {
      source.replace(other, 9, "layers.0.");
    }
    EXPECT_TRUE(at::equal(parameter.tensor, weights.at(source))) << parameter.name;
  }
  options.keep_layers = {1};
  const auto half = load_causal_lm(folder.path(), options);
  EXPECT_EQ(half->shape().num_layers, 1);
  EXPECT_EQ(half->parameters().size(), 11u);
}

TEST_F(LoadWeights, BadLayersAreRefused) {
  write();
  LoadOptions options;
  options.keep_layers = {0, 2};
  EXPECT_NE(
      message_of<ConfigError>([&] { load_causal_lm(folder.path(), options); }).find("layer 2, but"),
      std::string::npos);
  options.keep_layers = {-1};
  message_of<ConfigError>([&] { load_causal_lm(folder.path(), options); });
  options.keep_layers = {1, 1};
  EXPECT_NE(message_of<ConfigError>([&] { load_causal_lm(folder.path(), options); }).find("twice"),
            std::string::npos);
}

TEST_F(LoadWeights, OtherDtypesAreRefused) {
  write();
  LoadOptions options;
  options.dtype = at::kHalf;
  EXPECT_NE(message_of<UnsupportedError>([&] {
              load_causal_lm(folder.path(), options);
            }).find("not in Half"),
            std::string::npos);
}

TEST_F(LoadWeights, ParametersAreListedInOrder) {
  write();
  const auto model = load_causal_lm(folder.path(), {});
  const auto parameters = model->parameters();
  EXPECT_EQ(parameters.front().name, "model.embed_tokens.weight");
  EXPECT_EQ(parameters[1].name, "model.layers.0.input_layernorm.weight");
  EXPECT_EQ(parameters.back().name, "model.norm.weight");
  std::int64_t total = 0;
  for (const auto& parameter : parameters) total += parameter.tensor.numel();
  EXPECT_EQ(model->shape().num_parameters, total);
}

}  // namespace
}  // namespace distill::models
