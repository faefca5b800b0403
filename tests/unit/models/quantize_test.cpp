// Models whose projections are held in few bits.
#include <limits>
#include <set>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/check.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>
#include <distill/models/save.h>
#include <distill/nn/kv_cache.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using ops::WeightFormat;
using testing::message_of;
using testing::tiny_model;

constexpr WeightFormat kFormats[] = {WeightFormat::kInt8, WeightFormat::kFp8, WeightFormat::kNf4};
const at::Tensor kIds = at::arange(20);

/// Names of the weights that are quantised.
std::set<std::string> projections(const CausalLm& model) {
  std::set<std::string> names;
  for (const AdapterSite& site : model.adapter_sites()) {
    if (!site.embedding) names.insert(site.module + ".weight");
  }
  return names;
}

/// The dense model of what quantised weights stand for.
std::shared_ptr<CausalLm> rounded(const std::filesystem::path& folder, c10::ScalarType dtype,
                                  WeightFormat format) {
  auto model = load_causal_lm(folder, {.dtype = dtype, .writable = true});
  const auto names = projections(*model);
  for (const NamedParameter& parameter : model->parameters()) {
    if (!names.contains(parameter.name)) continue;
    at::Tensor(parameter.tensor).copy_(ops::dequantize(ops::quantize(parameter.tensor, format)));
  }
  return model;
}

/// Its head is in memory of its own too: where a mapped one begins, products in fp32 round
/// otherwise.
std::shared_ptr<CausalLm> quantized(const std::filesystem::path& folder, c10::ScalarType dtype,
                                    WeightFormat format) {
  return load_causal_lm(folder, {.dtype = dtype, .writable = true, .quantize = format});
}

at::Tensor logits_of(CausalLm& model) {
  const c10::NoGradGuard no_graph;
  const auto output = model.forward(types::single_sequence(kIds));
  return logits(output, output.hidden);
}

/// Of the last token, the others in the cache.
at::Tensor generated(CausalLm& model) {
  const c10::InferenceMode generating;
  const auto cache = model.make_cache();
  model.forward_cached(kIds.narrow(0, 0, 19), *cache);
  const auto output = model.forward_cached(kIds.narrow(0, 19, 1), *cache);
  return logits(output, output.hidden);
}

TEST(QuantizedModel, EveryFamilyIsToTheBitWhatItsWeightsStandFor) {
  for (const char* name : {"untied", "tied_llama3", "mistral_window", "qwen2", "qwen3", "qwen3_moe",
                           "deepseek_v2", "deepseek_v3"}) {
    for (const WeightFormat format : kFormats) {
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const auto dense = rounded(tiny_model(name), dtype, format);
        const auto model = quantized(tiny_model(name), dtype, format);
        EXPECT_TRUE(at::equal(logits_of(*model), logits_of(*dense))) << name;
        EXPECT_TRUE(at::equal(generated(*model), generated(*dense))) << name;
      }
    }
  }
}

TEST(QuantizedModel, ListsWhatIsDenseAndSaysWhatItLost) {
  for (const char* name : {"untied", "qwen3_moe", "deepseek_v3"}) {
    const auto dense = load_causal_lm(tiny_model(name), {.dtype = at::kBFloat16});
    const auto model = quantized(tiny_model(name), at::kBFloat16, WeightFormat::kNf4);
    EXPECT_EQ(dense->quantization(), nullptr);
    EXPECT_EQ(model->shape().num_parameters, dense->shape().num_parameters);
    const auto names = projections(*dense);
    std::set<std::string> left;
    for (const NamedParameter& parameter : model->parameters()) left.insert(parameter.name);
    double lost = 0, all = 0, worst = 0;
    std::int64_t weights = 0;
    std::uint64_t bytes = 0;
    for (const NamedParameter& parameter : dense->parameters()) {
      EXPECT_NE(left.contains(parameter.name), names.contains(parameter.name)) << parameter.name;
      if (!names.contains(parameter.name)) continue;
      const auto codes = ops::quantize(parameter.tensor, WeightFormat::kNf4);
      const at::Tensor exact = parameter.tensor.to(at::kDouble);
      const double own =
          (ops::dequantize(codes, at::kDouble) - exact).square().sum().item<double>();
      const double square = exact.square().sum().item<double>();
      lost += own;
      all += square;
      worst = std::max(worst, std::sqrt(own / square));
      weights += exact.numel();
      bytes += ops::bytes(codes);
    }
    ASSERT_NE(model->quantization(), nullptr);
    const Quantization& said = *model->quantization();
    EXPECT_EQ(said.format, WeightFormat::kNf4);
    EXPECT_EQ(said.weights, weights);
    EXPECT_EQ(said.bytes, bytes);
    EXPECT_EQ(said.dense_bytes, 2 * static_cast<std::uint64_t>(weights));
    EXPECT_NEAR(said.error, std::sqrt(lost / all), 1e-5);
    EXPECT_NEAR(said.worst_error, worst, 1e-5);
    EXPECT_TRUE(names.contains(said.worst));
    EXPECT_NE(describe(said).find("nf4"), std::string::npos);
  }
}

TEST(QuantizedModel, ItsBytesAreKnownBeforeAndCounted) {
  const auto folder = tiny_model("untied");
  for (const WeightFormat format : kFormats) {
    const LoadOptions options{.dtype = at::kBFloat16, .quantize = format};
    const auto model = load_causal_lm(folder, options);
    std::uint64_t bytes = model->quantization()->bytes;
    for (const NamedParameter& parameter : model->parameters()) bytes += parameter.tensor.nbytes();
    const WeightBytes said = weight_bytes(folder, options);
    EXPECT_EQ(said.allocated + said.mapped, bytes);
    LoadOptions little = options;
    little.available_memory = said.allocated - 1;
    EXPECT_NE(
        message_of<InputError>([&] { load_causal_lm(folder, little); }).find("its weights need"),
        std::string::npos);
    little.available_memory = said.allocated;
    EXPECT_NO_THROW(load_causal_lm(folder, little));
  }
}

TEST(QuantizedModel, IsNotSavedAsAFolder) {
  const testing::TempFolder folder;
  const auto model = quantized(tiny_model("untied"), at::kFloat, WeightFormat::kInt8);
  const std::string message = message_of<UnsupportedError>(
      [&] { save_causal_lm(*model, folder / "out", {.base_folder = tiny_model("untied")}); });
  EXPECT_NE(message.find("quantised weights (int8)"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

TEST(QuantizedModel, NaNIsRefusedByNameWhateverIsAskedFor) {
  const testing::TempFolder folder;
  testing::copy_model(tiny_model("untied"), folder.path());
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, tensor] : testing::read_tensors(folder / "model.safetensors")) {
    weights[name] = tensor.clone();
  }
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  weights.at(name)[1][2] = std::numeric_limits<double>::quiet_NaN();
  std::filesystem::remove(folder / "model.safetensors");
  io::write_safetensors(folder / "model.safetensors", {weights.begin(), weights.end()}, {});
  const std::string message = message_of<FormatError>([&] {
    load_causal_lm(folder.path(), {.check_finite = false, .quantize = WeightFormat::kNf4});
  });
  EXPECT_NE(message.find(name), std::string::npos) << message;
}

}  // namespace
}  // namespace distill::models
