// DeepSeek's 8-bit matrices with a scale for each block, and the layers that only training used.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/safetensors.h>
#include <distill/models/load.h>
#include <distill/models/save.h>

#include "models/fp8_weights.h"
#include "support/model_folders.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;
using testing::TempFolder;

constexpr auto kFp8 = c10::ScalarType::Float8_e4m3fn;

/// Element by element.
at::Tensor expected_values(const at::Tensor& stored, const at::Tensor& scale,
                           const Fp8Block& block) {
  const at::Tensor wide = stored.to(at::kFloat);
  at::Tensor result = at::empty(wide.sizes(), at::kFloat);
  for (std::int64_t i = 0; i < wide.size(0); ++i) {
    for (std::int64_t j = 0; j < wide.size(1); ++j) {
      result.mutable_data_ptr<float>()[i * wide.size(1) + j] =
          wide.const_data_ptr<float>()[i * wide.size(1) + j] *
          scale.const_data_ptr<float>()[i / block.rows * scale.size(1) + j / block.columns];
    }
  }
  return result;
}

at::Tensor dequantise(const at::Tensor& stored, const at::Tensor& scale, const Fp8Block& block,
                      c10::ScalarType dtype) {
  const at::Tensor weight = at::empty(stored.sizes(), dtype);
  for (std::int64_t strip = 0; strip < scale.size(0); ++strip) {
    const at::Tensor rows = dequantise_strip(stored, scale, block, strip, weight);
    EXPECT_TRUE(rows.is_alias_of(weight));
  }
  return weight;
}

TEST(Dequantise, MultipliesEachBlockWithItsScale) {
  for (const auto& [rows, columns] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {256, 384}, {200, 300}, {128, 1}, {1, 130}, {127, 129}}) {
    const at::Tensor stored = at::randn({rows, columns}).to(kFp8);
    const at::Tensor scale = at::rand({(rows + 127) / 128, (columns + 127) / 128}) + 0.1;
    const at::Tensor expected = expected_values(stored, scale, {128, 128});
    EXPECT_TRUE(at::equal(dequantise(stored, scale, {128, 128}, at::kFloat), expected));
    EXPECT_TRUE(at::equal(dequantise(stored, scale, {128, 128}, at::kBFloat16),
                          expected.to(at::kBFloat16)));
  }
}

/// A copy of `deepseek_v3` whose projections are stored in 8 bits, in blocks of 16 x 12.
class Fp8Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto source = testing::tiny_model("deepseek_v3");
    std::filesystem::copy_file(source / "config.json", folder / "config.json");
    testing::edit_config(folder.path(), "{",
                         "{\"quantization_config\": {\"activation_scheme\": \"dynamic\", \"fmt\": "
                         "\"e4m3\", \"quant_method\": \"fp8\", \"weight_block_size\": [16, 12]},");
    for (const auto& [name, tensor] : testing::read_tensors(source / "model.safetensors")) {
      expected[name] = weights[name] = tensor.clone();
      if (!name.ends_with("proj.weight")) continue;
      const at::Tensor scale =
          at::rand({(tensor.size(0) + 15) / 16, (tensor.size(1) + 11) / 12}) * 0.01 + 0.001;
      weights[name] = (tensor * 100).to(kFp8);
      weights[name + "_scale_inv"] = scale;
      expected[name] = expected_values(weights[name], scale, {16, 12});
    }
  }
  void write() {
    io::write_safetensors(folder / "model.safetensors", {weights.begin(), weights.end()}, {});
  }
  template <class E>
  std::string refusal() {
    write();
    return message_of<E>([&] { load_causal_lm(folder.path(), {}); });
  }

  TempFolder folder;
  std::map<std::string, at::Tensor> weights;
  std::map<std::string, at::Tensor> expected;
  const std::string expert = "model.layers.1.mlp.experts.3.up_proj.weight";
};

TEST_F(Fp8Folder, BecomesTheWantedType) {
  write();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    LoadOptions options;
    options.dtype = dtype;
    const auto model = load_causal_lm(folder.path(), options);
    for (const auto& [name, tensor] : model->parameters()) {
      EXPECT_TRUE(at::equal(tensor, expected.at(name).to(dtype))) << name;
    }
    ASSERT_EQ(model->buffers().size(), 1u);
    EXPECT_TRUE(at::equal(model->buffers()[0].tensor, expected.at(model->buffers()[0].name)));
  }
}

TEST_F(Fp8Folder, IsSavedWithoutQuantisation) {
  write();
  const auto model = load_causal_lm(folder.path(), {});
  const TempFolder root;
  save_causal_lm(*model, root / "saved", {.base_folder = folder.path()});
  EXPECT_EQ(core::read_file(root / "saved" / "config.json", 1 << 20).find("quantization"),
            std::string::npos);
  const auto stored = testing::read_tensors(root / "saved" / "model.safetensors");
  EXPECT_EQ(stored.size(), expected.size());
  for (const auto& [name, tensor] : expected)
    EXPECT_TRUE(at::equal(stored.at(name), tensor)) << name;
}

TEST_F(Fp8Folder, LayersThatAreLeftOutMayHaveScales) {
  write();
  LoadOptions options;
  options.keep_layers = {1};
  EXPECT_EQ(load_causal_lm(folder.path(), options)->shape().num_layers, 1);
}

TEST_F(Fp8Folder, ScalesMustBeThereAndFit) {
  const at::Tensor scale = weights.at(expert + "_scale_inv");
  weights.erase(expert + "_scale_inv");
  EXPECT_NE(refusal<FormatError>().find("1 tensor missing (" + expert + "_scale_inv)"),
            std::string::npos);
  weights[expert + "_scale_inv"] = at::ones({1, 1});
  EXPECT_NE(refusal<FormatError>().find(expert + "_scale_inv is [1, 1], expected [1, 3]"),
            std::string::npos);
  weights[expert + "_scale_inv"] = at::ones({1, 3}, at::kLong);
  EXPECT_NE(refusal<UnsupportedError>().find("_scale_inv` has dtype Long"), std::string::npos);
  weights[expert + "_scale_inv"] = scale;
  weights["model.norm.weight_scale_inv"] = at::ones({1, 1});
  EXPECT_NE(refusal<FormatError>().find("1 tensor too many (model.norm.weight_scale_inv)"),
            std::string::npos);
}

TEST_F(Fp8Folder, ConfigMustSpeakOfThem) {
  testing::edit_config(folder.path(), "quantization_config", "other");
  for (auto it = weights.begin(); it != weights.end();) {
    it = it->first.ends_with("_scale_inv") ? weights.erase(it) : std::next(it);
  }
  EXPECT_NE(refusal<UnsupportedError>().find("has dtype Float8_e4m3fn"), std::string::npos);
}

TEST_F(Fp8Folder, NanIsNamed) {
  weights.at(expert + "_scale_inv")[0][2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(refusal<FormatError>().find("`" + expert + "` holds NaN or Inf"), std::string::npos);
}

TEST_F(Fp8Folder, PredictionLayersAreLeftOutWithANote) {
  weights["model.layers.2.embed_tokens.weight"] = at::zeros({3, 4});
  weights["model.layers.2.mlp.gate.weight"] = at::zeros({3, 4});
  EXPECT_NE(refusal<FormatError>().find("2 tensors too many (model.layers.2.embed_tokens.weight"),
            std::string::npos);
  testing::edit_config(folder.path(), "\"num_nextn_predict_layers\": 0",
                       "\"num_nextn_predict_layers\": 1");
  testing::RecordingLogger log;
  LoadOptions options;
  options.log = &log;
  const auto model = load_causal_lm(folder.path(), options);
  ASSERT_EQ(log.lines.size(), 1u);
  EXPECT_EQ(log.lines[0], folder.path().string() +
                              ": the 2 tensors of a multi-token prediction layer "
                              "(model.layers.2.*) are left out");
  const TempFolder root;
  save_causal_lm(*model, root / "saved", {.base_folder = folder.path()});
  EXPECT_NE(core::read_file(root / "saved" / "config.json", 1 << 20)
                .find("\"num_nextn_predict_layers\": 0"),
            std::string::npos);
  EXPECT_NO_THROW(load_causal_lm(root / "saved", {}));
}

}  // namespace
}  // namespace distill::models
