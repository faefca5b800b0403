// The choice of a student's layers, against gaps that are measured with fit_layers.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/sin.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/io/safetensors.h>
#include <distill/models/choose_layers.h>
#include <distill/models/fit_layers.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>

#include "support/model_folders.h"
#include "support/temp_folder.h"

namespace distill::models {
namespace {

using testing::copy_model;
using testing::edit_config;
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

struct Texts {
  explicit Texts(const Rows& all) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      (5 * i < 4 * all.size() ? fitted : held_out).push_back(all[i]);
    }
  }
  Rows fitted, held_out;
};

constexpr double kRidge = 0.01;

/// A model of four layers, and texts.
struct Given {
  std::filesystem::path folder;
  Texts texts;

  std::shared_ptr<CausalLm> student(const std::vector<std::int64_t>& kept) const {
    auto student = load(folder, kept);
    fit_layers(*student, *load(folder, {}), kept, types::pack(texts.fitted), {.ridge = kRidge});
    return student;
  }
  double kl_of(CausalLm& student) const {
    const auto input = types::pack(texts.held_out);
    const at::Tensor t = log_probs(*load(folder, {}), input), s = log_probs(student, input);
    return ((t.exp() * (t - s)).sum(1)).mean().item<double>();
  }
};

/// Of a model without the layers between `layer` and `end`, of which `layer` alone is fitted.
double gap_cost(const Given& given, std::int64_t layer, std::int64_t end) {
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < 4; ++i) {
    if (i <= layer || i >= end) kept.push_back(i);
  }
  const auto student = given.student(kept);
  const auto untouched = load(given.folder, kept);
  const std::string own = "model.layers." + std::to_string(layer) + ".";
  auto parameters = student->parameters();
  const auto stored = untouched->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!parameters[i].name.starts_with(own)) parameters[i].tensor.copy_(stored[i].tensor);
  }
  return given.kl_of(*student);
}

/// The choices of some of four layers, the first among them.
std::vector<std::vector<std::int64_t>> choices(std::size_t count) {
  std::vector<std::vector<std::int64_t>> all;
  for (unsigned bits = 0; bits < 8; ++bits) {
    std::vector<std::int64_t> kept = {0};
    for (std::int64_t layer = 1; layer < 4; ++layer) {
      if ((bits >> (layer - 1) & 1U) != 0) kept.push_back(layer);
    }
    if (kept.size() == count) all.push_back(kept);
  }
  return all;
}

/// The choice with the least sum of costs.
std::vector<std::int64_t> cheapest(const Given& given, std::size_t count) {
  std::vector<std::int64_t> best;
  double least = 1e9;
  for (const auto& kept : choices(count)) {
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t end = i + 1 < count ? kept[i + 1] : 4;
      sum += gap_cost(given, kept[i], end);
    }
    if (sum < least) best = kept;
    least = std::min(least, sum);
  }
  return best;
}

void expect_cheapest(const std::filesystem::path& folder) {
  const Rows all = rows(40);
  const Given given{folder, Texts(all)};
  for (const std::size_t size : {2u, 3u}) {
    const auto count = static_cast<std::int64_t>(size);
    const auto expected = cheapest(given, size);
    const auto even = evenly_spaced_layers(4, count);
    const double kl = given.kl_of(*given.student(expected));
    const double kl_even = given.kl_of(*given.student(even));
    const auto chosen =
        choose_layers(*load(folder, {}), count, types::pack(all), {.ridge = kRidge});
    EXPECT_EQ(chosen.even.layers, even);
    EXPECT_NEAR(chosen.even.kl / kl_even, 1, 1e-4);
    EXPECT_EQ(chosen.best.layers, kl < kl_even ? expected : even) << count;
    EXPECT_NEAR(chosen.best.kl / std::min(kl, kl_even), 1, 1e-4);
  }
}

TEST(ChooseLayers, TheSumOfWhatGapsCostIsLeast) {
  expect_cheapest(kFolder);
}

TEST(ChooseLayers, BiasesOfLastProjectionsStay) {
  const testing::TempFolder folder;
  copy_model(kFolder, folder.path());
  edit_config(folder.path(), "\"mlp_bias\": false", "\"mlp_bias\": true");
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, tensor] : testing::read_tensors(kFolder / "model.safetensors")) {
    tensors.emplace_back(name, tensor);
    if (name.find(".mlp.") == std::string::npos) continue;
    const at::Tensor bias = 0.5 * at::sin(at::arange(tensor.size(0), at::kFloat));
    tensors.emplace_back(name.substr(0, name.rfind('.')) + ".bias", bias);
  }
  io::write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  expect_cheapest(folder.path());
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

/// The one layer of a model of experts three times, each a little different.
TEST(ChooseLayers, LayersOfExpertsCanBeChosen) {
  const testing::TempFolder folder;
  const auto one = tiny_model("qwen3_moe_new");
  copy_model(one, folder.path());
  edit_config(folder.path(), "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 3");
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, tensor] : testing::read_tensors(one / "model.safetensors")) {
    const auto layer = name.find("layers.0.");
    if (layer == std::string::npos) {
      tensors.emplace_back(name, tensor);
      continue;
    }
    for (int i = 0; i < 3; ++i) {
      std::string own = name;
      own[layer + 7] = static_cast<char>('0' + i);
      tensors.emplace_back(own, tensor * (1 - 0.3 * i));
    }
  }
  io::write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  const auto model = load(folder.path(), {});
  const auto chosen = choose_layers(*model, 2, types::pack(rows(10)), {});
  EXPECT_EQ(chosen.best.layers.size(), 2u);
  // Nothing is fitted, so it is the model of just these layers.
  const auto held_out = types::pack({rows(10)[8], rows(10)[9]});
  const at::Tensor t = log_probs(*model, held_out);
  const at::Tensor s = log_probs(*load(folder.path(), chosen.best.layers), held_out);
  const double kl = (t.exp() * (t - s)).sum(1).mean().item<double>();
  EXPECT_GT(kl, 0);
  EXPECT_NEAR(chosen.best.kl / kl, 1, 1e-4);
}

TEST(ChooseLayers, ProgressIsToldAndCanEndIt) {
  const auto model = load(kFolder, {});
  std::int64_t gaps = 0, of = 0;
  const auto count = [&](const ChooseLayersProgress& now) {
    EXPECT_EQ(now.done, ++gaps);
    of = now.of;
  };
  choose_layers(*model, 4, types::pack(rows(10)), {.on_progress = count});
  EXPECT_EQ(gaps, of);
  EXPECT_EQ(of, 2 + 2 + 2 + 1);  // no gap is wider than twice the average
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
  const std::string none =
      message_of<InputError>([&] { choose_layers(*model, 2, types::ModelInput{}, {}); });
  EXPECT_NE(none.find("input_ids"), std::string::npos) << none;
  for (auto& parameter : model->parameters()) {
    if (parameter.name == "model.norm.weight") {
      parameter.tensor.fill_(std::numeric_limits<double>::quiet_NaN());
    }
  }
  for (const std::int64_t count : {2, 4}) {
    const std::string lost =
        message_of<Error>([&] { choose_layers(*model, count, types::pack(rows(5)), {}); });
    EXPECT_NE(lost.find("states are not finite"), std::string::npos) << lost;
  }
}

}  // namespace
}  // namespace distill::models
