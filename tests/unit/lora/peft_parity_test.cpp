// Adapters of every kind against what PEFT computed with them (tests/reference/gen_lora.py).
#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/equal.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <distill/core/error.h>
#include <distill/lora/initialise.h>
#include <distill/lora/merge.h>
#include <distill/models/generate.h>
#include <distill/models/save.h>

#include "unit/lora/reference_adapters.h"

namespace distill::lora {
namespace {

using distill::testing::relative_error;
using testing::error_of;
using testing::logits_of;
using testing::ReferenceAdapter;

class PeftAdapter : public ::testing::TestWithParam<std::string> {
 protected:
  ReferenceAdapter reference{GetParam()};
};

TEST_P(PeftAdapter, ProducesPeftValues_Logits) {
  EXPECT_LT(error_of(*reference.load(), reference), 2e-5);
}

TEST_P(PeftAdapter, ProducesPeftValues_Gradients) {
  const auto model = reference.load(at::kFloat, true);
  at::Tensor loss;
  for (const char* number : {"1", "2"}) {
    const at::Tensor ids = reference.values.at(std::string("ids_") + number);
    const auto output = model->forward(types::single_sequence(ids));
    const at::Tensor logits = models::logits(output, output.hidden);
    const std::int64_t n = ids.numel() - 1;
    const at::Tensor term = at::cross_entropy_loss(logits.narrow(0, 0, n), ids.narrow(0, 1, n));
    loss = loss.defined() ? loss + term : term;
  }
  loss.backward();
  const auto trained = parameters(*model);
  ASSERT_FALSE(trained.empty());
  for (const auto& parameter : trained) {
    const at::Tensor& expected =
        reference.values.at("base_model.model." + parameter.name + ".grad");
    EXPECT_LT(relative_error(parameter.tensor.grad(), expected), 1e-4) << parameter.name;
  }
}

TEST_P(PeftAdapter, MergedIsTheSameModel) {
  const auto model = reference.load();
  merge(*model);
  EXPECT_TRUE(model->adapters().empty());
  EXPECT_LT(error_of(*model, reference), 2e-5);
  std::int64_t compared = 0;
  for (const auto& parameter : model->parameters()) {
    const auto found = reference.values.find("merged." + parameter.name);
    if (found == reference.values.end()) continue;
    EXPECT_LT(relative_error(parameter.tensor, found->second), 1e-6) << parameter.name;
    ++compared;
  }
  EXPECT_GE(compared, 1);
}

TEST_P(PeftAdapter, OffItIsTheBase) {
  const auto model = reference.load();
  const auto base = models::load_causal_lm(reference.base, {});
  const at::Tensor ids = reference.values.at("ids_2");
  model->adapter_switch()->enabled = false;
  EXPECT_TRUE(at::equal(logits_of(*model, ids), logits_of(*base, ids)));
  model->adapter_switch()->enabled = true;
  EXPECT_FALSE(at::equal(logits_of(*model, ids), logits_of(*base, ids)));
}

TEST_P(PeftAdapter, SavedAndLoadedAgain) {
  const distill::testing::TempFolder folder;
  const auto model = reference.load();
  save_adapter(*model, folder / "out", {reference.base, ""});
  const auto again = load_with_adapter(reference.base, folder / "out", {});
  const at::Tensor ids = reference.values.at("ids_2");
  EXPECT_TRUE(at::equal(logits_of(*model, ids), logits_of(*again, ids)));
  const auto before = read_adapter_config(reference.folder),
             after = read_adapter_config(folder / "out");
  EXPECT_EQ(before.num_parameters, after.num_parameters);
  for (const auto& [module, options] : before.choice) {
    EXPECT_EQ(options.rank, after.choice.at(module).rank) << module;
    EXPECT_DOUBLE_EQ(options.alpha, after.choice.at(module).alpha) << module;
  }
}

TEST_P(PeftAdapter, InBf16CloseToFp32) {
  EXPECT_LT(error_of(*reference.load(at::kBFloat16), reference), 0.05);
}

TEST_P(PeftAdapter, GenerationReadsTheAdapter) {
  const auto model = reference.load();
  const std::vector<std::int64_t> prompt = {1, 5, 9};
  models::GenerateOptions options;
  options.max_new_tokens = 12;
  const auto written = models::generate(*model, {prompt}, options).front();
  merge(*model);
  EXPECT_EQ(models::generate(*model, {prompt}, options).front(), written);
}

INSTANTIATE_TEST_SUITE_P(All, PeftAdapter,
                         ::testing::Values("plain", "rslora", "dora", "patterns", "embedding",
                                           "dora_embedding", "one_layer"),
                         [](const auto& one) { return one.param; });

TEST(Merge, RefusesATiedEmbedding) {
  auto model =
      models::load_causal_lm(distill::testing::tiny_llama("tied_llama3"),
                             {.adapters = {{"model.embed_tokens", {.rank = 2, .alpha = 2}}}});
  initialise(*model, Init::kKaiming, 1);
  EXPECT_THROW(merge(*model), UnsupportedError);
}

TEST(Merge, Bf16IsFormedInFp32AndRoundedOnce) {
  const ReferenceAdapter reference("plain");
  const auto model = reference.load(at::kBFloat16);
  std::map<std::string, at::Tensor> expected;
  for (const auto& named : model->adapters()) {
    const auto& adapter = *named.adapter;
    const at::Tensor sum =
        named.weight->to(at::kDouble) +
        adapter.options.scale() * adapter.b.to(at::kDouble).mm(adapter.a.to(at::kDouble));
    expected[named.site.module + ".weight"] = sum.to(at::kFloat).to(at::kBFloat16);
  }
  merge(*model);
  for (const auto& parameter : model->parameters()) {
    const auto found = expected.find(parameter.name);
    if (found == expected.end()) continue;
    const at::Tensor same = (parameter.tensor == found->second).to(at::kDouble).mean();
    EXPECT_GT(same.item<double>(), 0.999) << parameter.name;  // fp32 sums may round the other way
  }
}

}  // namespace
}  // namespace distill::lora
