#include <distill/lora/initialise.h>

#include <cmath>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/lora/choose.h>
#include <distill/models/check.h>

#include "unit/lora/reference_adapters.h"

namespace distill::lora {
namespace {

using distill::testing::relative_error;
using distill::testing::tiny_llama;
using testing::logits_of;

std::shared_ptr<models::CausalLm> adapted(const LoraOptions& options, std::uint64_t seed = 3,
                                          c10::ScalarType dtype = at::kFloat) {
  const auto folder = tiny_llama("untied");
  auto model = models::load_causal_lm(
      folder, {.dtype = dtype,
               .writable = options.init == Init::kPissa,
               .adapters = choose(options, models::describe_causal_lm(folder, {}).adapter_sites)});
  initialise(*model, options.init, seed);
  return model;
}

const at::Tensor kIds = at::arange(20);

TEST(InitialiseAdapters, TheModelBeginsAsItsBase) {
  const auto base = models::load_causal_lm(tiny_llama("untied"), {});
  for (const Init init : {Init::kKaiming, Init::kGaussian}) {
    for (const bool dora : {false, true}) {
      LoraOptions options;
      options.rank = 4;
      options.init = init;
      options.dora = dora;
      const auto model = adapted(options);
      EXPECT_LT(relative_error(logits_of(*model, kIds), logits_of(*base, kIds)),
                dora ? 1e-5 : 1e-9);
    }
  }
}

TEST(InitialiseAdapters, SpreadAsSaid) {
  LoraOptions options;
  options.rank = 16;
  for (const auto& parameter : parameters(*adapted(options))) {
    if (parameter.name.find("lora_A") == std::string::npos) continue;
    const double bound = 1 / std::sqrt(static_cast<double>(parameter.tensor.size(1)));
    EXPECT_LE(parameter.tensor.abs().max().item<double>(), bound);
    EXPECT_NEAR(parameter.tensor.std().item<double>(), bound / std::sqrt(3.0), 0.1 * bound);
  }
  options.init = Init::kGaussian;
  for (const auto& parameter : parameters(*adapted(options))) {
    if (parameter.name.find("lora_A") == std::string::npos) continue;
    EXPECT_NEAR(parameter.tensor.std().item<double>(), 1.0 / 16, 0.01);
  }
}

TEST(InitialiseAdapters, SameSeedSameNumbersWhateverTheThreads) {
  LoraOptions options;
  options.rank = 4;
  const auto first = parameters(*adapted(options, 5));
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  const auto second = parameters(*adapted(options, 5));
  at::set_num_threads(threads);
  const auto other = parameters(*adapted(options, 6));
  bool differs = false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(at::equal(first[i].tensor, second[i].tensor)) << first[i].name;
    differs = differs || !at::equal(first[i].tensor, other[i].tensor);
  }
  EXPECT_TRUE(differs);
}

TEST(InitialiseAdapters, OnlyAdaptersWantGradients) {
  const auto model = adapted({});
  for (const auto& parameter : model->parameters()) {
    EXPECT_FALSE(parameter.tensor.requires_grad()) << parameter.name;
  }
  for (const auto& parameter : parameters(*model)) {
    EXPECT_TRUE(parameter.tensor.requires_grad()) << parameter.name;
    EXPECT_EQ(parameter.tensor.scalar_type(), at::kFloat);
  }
}

TEST(Pissa, TakesTheLargestDirectionsAndKeepsTheSum) {
  LoraOptions options;
  options.rank = 4;
  options.init = Init::kPissa;
  const auto model = adapted(options);
  const auto base = models::load_causal_lm(tiny_llama("untied"), {});
  std::map<std::string, at::Tensor> weights;
  for (const auto& parameter : base->parameters()) weights[parameter.name] = parameter.tensor;
  for (const auto& named : model->adapters()) {
    const nn::Adapter& adapter = *named.adapter;
    const at::Tensor& whole = weights.at(named.site.module + ".weight");
    const at::Tensor change = adapter.options.scale() * adapter.b.detach().mm(adapter.a.detach());
    EXPECT_LT(relative_error(*named.weight + change, whole), 1e-6);
    const at::Tensor all = std::get<1>(at::linalg_svd(whole.to(at::kDouble), false));
    const at::Tensor taken = std::get<1>(at::linalg_svd(change.to(at::kDouble), false));
    EXPECT_LT(relative_error(taken.narrow(0, 0, 4), all.narrow(0, 0, 4)), 1e-4);
    const at::Tensor rest = std::get<1>(at::linalg_svd(named.weight->to(at::kDouble), false));
    EXPECT_NEAR(rest[0].item<double>(), all[4].item<double>(), 1e-3 * all[0].item<double>());
  }
  EXPECT_LT(relative_error(logits_of(*model, kIds), logits_of(*base, kIds)), 1e-5);
  // Off: the base, though the weights are not.
  for (const auto& parameter : parameters(*model)) parameter.tensor.detach().zero_();
  model->adapter_switch()->enabled = false;
  EXPECT_LT(relative_error(logits_of(*model, kIds), logits_of(*base, kIds)), 1e-5);
}

TEST(Pissa, SavedAsAChangeOfTheWholeBase) {
  LoraOptions options;
  options.rank = 3;
  options.init = Init::kPissa;
  for (const bool rslora : {false, true}) {
    options.rslora = rslora;
    const auto model = adapted(options);
    for (const auto& parameter : parameters(*model)) {
      parameter.tensor.detach().mul_(1.1);  // as if trained
    }
    const distill::testing::TempFolder folder;
    save_adapter(*model, folder / "out", {tiny_llama("untied"), ""});
    const auto again = load_with_adapter(tiny_llama("untied"), folder / "out", {});
    EXPECT_EQ(again->adapters().front().adapter->options.rank, 6);
    EXPECT_LT(relative_error(logits_of(*again, kIds), logits_of(*model, kIds)), 1e-5);
  }
}

TEST(Pissa, NotForTheEmbedding) {
  LoraOptions options;
  options.rank = 2;
  options.init = Init::kPissa;
  options.targets = std::vector<std::string>{"embed_tokens"};
  EXPECT_THROW(adapted(options), ConfigError);
}

}  // namespace
}  // namespace distill::lora
