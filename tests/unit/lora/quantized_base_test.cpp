// Adapters beside a base in few bits (QLoRA).
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <distill/core/error.h>
#include <distill/lora/choose.h>
#include <distill/lora/initialise.h>
#include <distill/lora/merge.h>
#include <distill/models/check.h>
#include <distill/teachers/base_teacher.h>

#include "unit/lora/reference_adapters.h"

namespace distill::lora {
namespace {

using distill::testing::message_of;
using distill::testing::tiny_model;
using ops::WeightFormat;
using testing::logits_of;

constexpr WeightFormat kFormats[] = {WeightFormat::kInt8, WeightFormat::kFp8, WeightFormat::kNf4};
const at::Tensor kIds = at::arange(30);

LoraOptions options_with(bool dora) {
  LoraOptions options;
  options.rank = 4;
  options.dropout = 0.25;
  options.dora = dora;
  options.experts = true;
  return options;
}

std::shared_ptr<models::CausalLm> with_adapters(const std::string& name, const LoraOptions& options,
                                                models::LoadOptions load) {
  const auto folder = tiny_model(name);
  load.adapters = choose(options, models::describe_causal_lm(folder, {}).adapter_sites);
  return models::load_causal_lm(folder, load);
}

void begin(models::CausalLm& model) {
  initialise(model, Init::kGaussian, 3);
  for (const auto& parameter : parameters(model)) {
    if (parameter.name.find("lora_B") != std::string::npos) parameter.tensor.detach().fill_(0.05);
  }
  model.adapter_switch()->dropout_seed = 11;
}

/// With the dense weights that quantised ones stand for.
std::shared_ptr<models::CausalLm> on_rounded(const std::string& name, const LoraOptions& options,
                                             c10::ScalarType dtype, WeightFormat format) {
  auto model = with_adapters(name, options, {.dtype = dtype, .writable = true});
  for (const auto& named : model->adapters()) {
    named.weight->copy_(ops::dequantize(ops::quantize(*named.weight, format)));
  }
  begin(*model);
  return model;
}

std::shared_ptr<models::CausalLm> on_quantized(const std::string& name, const LoraOptions& options,
                                               c10::ScalarType dtype, WeightFormat format) {
  auto model = with_adapters(name, options, {.dtype = dtype, .quantize = format});
  begin(*model);
  return model;
}

std::vector<at::Tensor> gradients(models::CausalLm& model) {
  for (const auto& parameter : parameters(model)) parameter.tensor.mutable_grad().reset();
  const auto output = model.forward(types::single_sequence(kIds));
  models::logits(output, output.hidden).to(at::kFloat).square().mean().backward();
  std::vector<at::Tensor> result;
  for (const auto& parameter : parameters(model)) {
    const at::Tensor& gradient = parameter.tensor.grad();
    result.push_back(gradient.defined() ? gradient.clone() : at::zeros_like(parameter.tensor));
  }
  return result;
}

TEST(QuantizedBase, LogitsAndGradientsAreThoseOfTheWeightsItStandsFor) {
  for (const char* name : {"untied", "qwen2", "qwen3_moe", "deepseek_v3"}) {
    for (const WeightFormat format : kFormats) {
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        for (const bool dora : {false, true}) {
          const auto dense = on_rounded(name, options_with(dora), dtype, format);
          const auto model = on_quantized(name, options_with(dora), dtype, format);
          EXPECT_TRUE(at::equal(logits_of(*model, kIds), logits_of(*dense, kIds))) << name;
          const auto expected = gradients(*dense), got = gradients(*model);
          model->set_activation_checkpointing(true);
          const auto formed_anew = gradients(*model);
          ASSERT_EQ(got.size(), expected.size());
          for (std::size_t i = 0; i < got.size(); ++i) {
            EXPECT_TRUE(at::equal(got[i], expected[i])) << name << " " << i;
            EXPECT_TRUE(at::equal(got[i], formed_anew[i])) << name << " " << i;
          }
        }
      }
    }
  }
}

TEST(QuantizedBase, IsATeacherWithItsAdaptersOff) {
  const auto student = on_quantized("untied", options_with(false), at::kFloat, WeightFormat::kNf4);
  const auto base = models::load_causal_lm(tiny_model("untied"), {.quantize = WeightFormat::kNf4});
  const auto teacher = teachers::make_base_teacher(student);
  types::Batch batch;
  batch.input = types::single_sequence(kIds);
  const auto signal = std::get<types::DenseHidden>(teacher->signal(batch));
  EXPECT_TRUE(at::equal(signal.hidden, base->forward(batch.input).hidden));
}

TEST(QuantizedBase, ItsAdapterLoadsOnTheDenseBaseAndOnTheQuantisedOne) {
  const auto model = on_quantized("untied", options_with(true), at::kFloat, WeightFormat::kInt8);
  model->adapter_switch()->dropout_seed.reset();
  const distill::testing::TempFolder folder;
  save_adapter(*model, folder / "out", {tiny_model("untied"), ""});
  const auto again =
      load_with_adapter(tiny_model("untied"), folder / "out", {.quantize = WeightFormat::kInt8});
  EXPECT_TRUE(at::equal(logits_of(*again, kIds), logits_of(*model, kIds)));
  const auto dense = load_with_adapter(tiny_model("untied"), folder / "out", {});
  EXPECT_LT(distill::testing::relative_error(logits_of(*dense, kIds), logits_of(*model, kIds)),
            0.05);
}

TEST(QuantizedBase, CannotBeMergedAndHasNoPissa) {
  const auto model = on_quantized("untied", options_with(false), at::kFloat, WeightFormat::kFp8);
  EXPECT_NE(message_of<UnsupportedError>([&] { merge(*model); }).find("quantised"),
            std::string::npos);
  EXPECT_EQ(model->adapters().size(), parameters(*model).size() / 2);  // as before
  EXPECT_NE(message_of<ConfigError>([&] { initialise(*model, Init::kPissa, 1); }).find("pissa"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::lora
