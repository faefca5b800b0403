// The choice of a student's layers, against every choice tried with fit_layers.
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/models/choose_layers.h>
#include <distill/models/fit_layers.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::message_of;
using testing::tiny_model;

using Rows = std::vector<std::vector<std::int64_t>>;

const std::filesystem::path kFolder =
    std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";

Rows rows(std::int64_t count) {
  Rows all;
  for (std::int64_t r = 0; r < count; ++r) {
    all.emplace_back();
    for (std::int64_t i = 0; i < 20 + r % 9; ++i) {
      all.back().push_back((r * 37 + i * i * 11 + i) % 90);
    }
  }
  return all;
}

std::shared_ptr<CausalLm> load(const std::filesystem::path& folder,
                               const std::vector<std::int64_t>& kept) {
  return load_causal_lm(folder, {.dtype = at::kFloat, .writable = true, .keep_layers = kept});
}

at::Tensor log_probs(CausalLm& model, const types::ModelInput& input) {
  const auto output = model.forward(input);
  return at::log_softmax(logits(output, output.hidden).to(at::kDouble), 1);
}

/// KL of a student that is fitted on the first four fifths of the rows, on the last.
double kl_of(const std::vector<std::int64_t>& kept, const Rows& all, double ridge) {
  Rows fitted, held_out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    (5 * i < 4 * all.size() ? fitted : held_out).push_back(all[i]);
  }
  const auto source = load(kFolder, {});
  const auto student = load(kFolder, kept);
  fit_layers(*student, *source, kept, types::pack(fitted), {.ridge = ridge});
  const auto input = types::pack(held_out);
  const at::Tensor t = log_probs(*source, input), s = log_probs(*student, input);
  return ((t.exp() * (t - s)).sum(1)).mean().item<double>();
}

TEST(ChooseLayers, FindsTheBestOfAllChoices) {
  const Rows all = rows(40);
  const double ridge = 0.01;
  LayerChoice expected{{}, 1e9};
  std::map<std::vector<std::int64_t>, double> kls;
  for (const std::int64_t second : {1, 2, 3}) {
    const std::vector<std::int64_t> kept = {0, second};
    kls[kept] = kl_of(kept, all, ridge);
    if (kls[kept] < expected.kl) expected = {kept, kls[kept]};
  }
  const auto model = load(kFolder, {});
  const auto chosen = choose_layers(*model, 2, types::pack(all), {.ridge = ridge});
  EXPECT_EQ(chosen.best.layers, expected.layers);
  EXPECT_NEAR(chosen.best.kl / expected.kl, 1, 1e-4);
  EXPECT_EQ(chosen.even.layers, (std::vector<std::int64_t>{0, 3}));
  EXPECT_NEAR(chosen.even.kl / kls.at({0, 3}), 1, 1e-4);
  EXPECT_EQ(chosen.choices_measured, 3);
}

TEST(ChooseLayers, AllLayersAreTheModel) {
  const auto model = load(kFolder, {});
  const auto chosen = choose_layers(*model, 4, types::pack(rows(5)), {});
  EXPECT_EQ(chosen.best.layers, (std::vector<std::int64_t>{0, 1, 2, 3}));
  EXPECT_NEAR(chosen.best.kl, 0, 1e-6);
}

TEST(ChooseLayers, TheModelStaysAsItIs) {
  const auto model = load(kFolder, {});
  std::vector<at::Tensor> before;
  for (const auto& parameter : model->parameters()) before.push_back(parameter.tensor.clone());
  choose_layers(*model, 2, types::pack(rows(10)), {});
  const auto after = model->parameters();
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_TRUE(at::equal(after[i].tensor, before[i])) << after[i].name;
  }
}

TEST(ChooseLayers, LayersOfExpertsCanBeChosen) {
  const auto model = load(tiny_model("qwen3_moe"), {});
  const auto chosen = choose_layers(*model, 1, types::pack(rows(10)), {});
  EXPECT_EQ(chosen.best.layers, (std::vector<std::int64_t>{0}));
  EXPECT_GT(chosen.best.kl, 0);
}

TEST(ChooseLayers, ProgressIsToldAndCanEndIt) {
  const auto model = load(kFolder, {});
  std::int64_t gaps = 0, of = 0, choices = 0;
  const auto count = [&](const ChooseLayersProgress& now) {
    if (now.gaps) {
      EXPECT_EQ(now.done, ++gaps);
      of = now.of;
    } else {
      EXPECT_EQ(now.done, ++choices);
      EXPECT_FALSE(now.best.layers.empty());
    }
  };
  const auto chosen = choose_layers(*model, 3, types::pack(rows(10)), {.on_progress = count});
  EXPECT_EQ(gaps, of);
  EXPECT_EQ(choices, chosen.choices_measured);
  const auto end = [](const ChooseLayersProgress&) { fail<IoError>("enough"); };
  EXPECT_THROW(choose_layers(*model, 3, types::pack(rows(10)), {.on_progress = end}), IoError);
}

TEST(ChooseLayers, WhatCannotBeChosenIsRefused) {
  const auto model = load(kFolder, {});
  const auto refusal = [&](std::int64_t count, std::int64_t sequences) {
    return message_of<InputError>(
        [&] { choose_layers(*model, count, types::pack(rows(sequences)), {}); });
  };
  EXPECT_NE(refusal(0, 5).find("0 layers are to be chosen, the model has 4"), std::string::npos);
  EXPECT_NE(refusal(5, 5).find("5 layers are to be chosen, the model has 4"), std::string::npos);
  EXPECT_NE(refusal(2, 4).find("at least 5 sequences"), std::string::npos);
  for (auto& parameter : model->parameters()) {
    if (parameter.name == "model.norm.weight") {
      parameter.tensor.fill_(std::numeric_limits<double>::quiet_NaN());
    }
  }
  const std::string lost =
      message_of<Error>([&] { choose_layers(*model, 2, types::pack(rows(5)), {}); });
  EXPECT_NE(lost.find("states are not finite"), std::string::npos) << lost;
}

}  // namespace
}  // namespace distill::models
