// Adapters inside a whole model: dropout, checkpointing, the base as its own teacher.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <distill/core/error.h>
#include <distill/lora/choose.h>
#include <distill/lora/initialise.h>
#include <distill/lora/merge.h>
#include <distill/models/check.h>
#include <distill/nn/kv_cache.h>
#include <distill/teachers/base_teacher.h>

#include "unit/lora/reference_adapters.h"

namespace distill::lora {
namespace {

using distill::testing::relative_error;
using distill::testing::tiny_model;
using testing::logits_of;

const at::Tensor kIds = at::arange(30);

std::shared_ptr<models::CausalLm> adapted(const std::string& name, const LoraOptions& options,
                                          c10::ScalarType dtype = at::kFloat) {
  const auto folder = tiny_model(name);
  auto model = models::load_causal_lm(
      folder, {.dtype = dtype,
               .adapters = choose(options, models::describe_causal_lm(folder, {}).adapter_sites)});
  initialise(*model, Init::kGaussian, 3);
  for (const auto& parameter : parameters(*model)) {
    if (parameter.name.find("lora_B") != std::string::npos) parameter.tensor.detach().fill_(0.05);
  }
  return model;
}

LoraOptions options_with(double dropout, bool dora = false) {
  LoraOptions options;
  options.rank = 4;
  options.dropout = dropout;
  options.dora = dora;
  return options;
}

std::vector<at::Tensor> gradients(models::CausalLm& model) {
  for (const auto& parameter : parameters(model)) parameter.tensor.mutable_grad().reset();
  const auto output = model.forward(types::single_sequence(kIds));
  models::logits(output, output.hidden).to(at::kFloat).square().mean().backward();
  std::vector<at::Tensor> result;
  for (const auto& parameter : parameters(model)) {  // of an expert that no token chose: none
    const at::Tensor& gradient = parameter.tensor.grad();
    result.push_back(gradient.defined() ? gradient.clone() : at::zeros_like(parameter.tensor));
  }
  return result;
}

TEST(AdaptedModel, DropsOnlyWhileASeedIsSetAndAlwaysTheSame) {
  const auto model = adapted("untied", options_with(0.5));
  const at::Tensor plain = logits_of(*model, kIds);
  model->adapter_switch()->dropout_seed = 7;
  const at::Tensor dropped = logits_of(*model, kIds);
  EXPECT_FALSE(at::equal(plain, dropped));
  EXPECT_TRUE(at::equal(dropped, logits_of(*model, kIds)));
  model->adapter_switch()->dropout_seed = 8;
  EXPECT_FALSE(at::equal(dropped, logits_of(*model, kIds)));
  model->adapter_switch()->dropout_seed.reset();
  EXPECT_TRUE(at::equal(plain, logits_of(*model, kIds)));
}

// A row of zeros, as pruned models have, has no direction to keep.
TEST(AdaptedModel, DoraTakesRowsOfZeros) {
  const auto folder = tiny_model("untied");
  auto model = models::load_causal_lm(
      folder, {.writable = true,
               .adapters = choose(options_with(0, true),
                                  models::describe_causal_lm(folder, {}).adapter_sites)});
  for (const auto& named : model->adapters()) named.weight->select(0, 1).zero_();
  initialise(*model, Init::kKaiming, 3);
  EXPECT_TRUE(at::isfinite(logits_of(*model, kIds)).all().item<bool>());
  for (const at::Tensor& gradient : gradients(*model)) {
    EXPECT_TRUE(at::isfinite(gradient).all().item<bool>());
  }
  merge(*model);
  EXPECT_TRUE(at::isfinite(logits_of(*model, kIds)).all().item<bool>());
}

TEST(AdaptedModel, ModulesDropOtherElements) {
  const auto model = adapted("untied", options_with(0.5));
  model->adapter_switch()->dropout_seed = 7;
  std::set<std::uint64_t> seeds;
  for (const auto& named : model->adapters()) seeds.insert(named.adapter->change().dropout.seed);
  EXPECT_EQ(seeds.size(), model->adapters().size());
}

TEST(AdaptedModel, CheckpointingChangesNoBit) {
  for (const char* name : {"untied", "qwen3_moe", "deepseek_v3"}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      for (const bool dora : {false, true}) {
        LoraOptions options = options_with(0.25, dora);
        options.experts = true;
        const auto model = adapted(name, options, dtype);
        model->adapter_switch()->dropout_seed = 11;
        const auto kept = gradients(*model);
        model->set_activation_checkpointing(true);
        const auto formed_anew = gradients(*model);
        for (std::size_t i = 0; i < kept.size(); ++i) {
          EXPECT_TRUE(at::equal(kept[i], formed_anew[i]))
              << name << " " << parameters(*model)[i].name;
        }
      }
    }
  }
}

TEST(AdaptedModel, RecomputationSeesTheStateOfItsForwardPass) {
  const auto model = adapted("untied", options_with(0.5));
  model->adapter_switch()->dropout_seed = 11;
  const auto kept = gradients(*model);
  model->set_activation_checkpointing(true);
  for (const auto& parameter : parameters(*model)) parameter.tensor.mutable_grad().reset();
  const auto output = model->forward(types::single_sequence(kIds));
  model->adapter_switch()->dropout_seed = 12;  // another pass begins before this one's gradients
  model->adapter_switch()->enabled = false;
  models::logits(output, output.hidden).to(at::kFloat).square().mean().backward();
  EXPECT_EQ(model->adapter_switch()->dropout_seed, 12u);
  EXPECT_FALSE(model->adapter_switch()->enabled);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_TRUE(at::equal(parameters(*model)[i].tensor.grad(), kept[i]));
  }
}

TEST(AdaptedModel, EveryFamilyTakesThemAndGeneratesWithThem) {
  for (const char* name :
       {"untied", "mistral_window", "qwen2", "qwen3", "qwen3_moe", "deepseek_v2", "deepseek_v3"}) {
    LoraOptions options = options_with(0);
    options.experts = true;
    const auto model = adapted(name, options);
    const c10::NoGradGuard no_graph;
    const at::Tensor whole = logits_of(*model, kIds);
    const auto cache = model->make_cache();
    model->forward_cached(kIds.narrow(0, 0, 29), *cache);
    const auto last = model->forward_cached(kIds.narrow(0, 29, 1), *cache);
    EXPECT_LT(relative_error(models::logits(last, last.hidden), whole.narrow(0, 29, 1)), 2e-5)
        << name;
  }
}

TEST(AdaptedModel, UnknownModulesAreRefused) {
  EXPECT_THROW(models::load_causal_lm(
                   tiny_model("untied"),
                   {.adapters = {{"model.layers.9.mlp.up_proj", {.rank = 1, .alpha = 1}}}}),
               ConfigError);
}

TEST(BaseTeacher, IsTheBaseAndLeavesTheStudentAsItWas) {
  const auto student = adapted("untied", options_with(0.5));
  const auto base = models::load_causal_lm(tiny_model("untied"), {});
  const auto teacher = teachers::make_base_teacher(student);
  student->adapter_switch()->dropout_seed = 5;
  const at::Tensor before = logits_of(*student, kIds);
  types::Batch batch;
  batch.input = types::single_sequence(kIds);
  const auto signal = std::get<types::DenseHidden>(teacher->signal(batch));
  EXPECT_FALSE(signal.hidden.requires_grad());
  EXPECT_TRUE(at::equal(signal.hidden, base->forward(batch.input).hidden));
  EXPECT_TRUE(at::equal(before, logits_of(*student, kIds)));
  EXPECT_EQ(teacher->layer_shape()->num_layers, student->shape().num_layers);
}

TEST(BaseTeacher, NeedsAdapters) {
  EXPECT_THROW(teachers::make_base_teacher(models::load_causal_lm(tiny_model("untied"), {})),
               ConfigError);
}

}  // namespace
}  // namespace distill::lora
