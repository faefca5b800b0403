// What losses over inner layers need, refuse and add up to; their values: layer_losses_test.cpp.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/losses/attention_kl.h>
#include <distill/losses/forward_kl.h>
#include <distill/losses/hidden_cosine.h>
#include <distill/losses/hidden_mse.h>
#include <distill/losses/weighted_sum.h>

#include "support/layer_input.h"
#include "support/loss_input.h"
#include "support/temp_folder.h"

namespace distill::losses {
namespace {

using testing::layer_context;
using testing::layer_input;
using testing::LayerSizes;
using testing::message_of;

constexpr LayerSizes kWider{.teacher_width = 12};

TEST(LayerLosses, SayWhatTheyNeed) {
  HiddenMse mse({.layers = {{1, 2}}});
  EXPECT_TRUE(mse.needs().empty());
  mse.prepare(layer_context({}));
  EXPECT_EQ(mse.needs().student.hidden, std::vector<std::int64_t>{1});
  EXPECT_EQ(mse.needs().teacher.hidden, std::vector<std::int64_t>{2});
  EXPECT_TRUE(mse.needs().student.attention.empty());
  AttentionKl maps({});
  maps.prepare(layer_context({}));
  EXPECT_EQ(maps.needs().teacher.attention, (std::vector<std::int64_t>{1, 3}));
  EXPECT_TRUE(maps.needs().teacher.hidden.empty());
}

TEST(LayerLosses, AProjectionFollowsFromTheSeed) {
  const auto projection = [](std::uint64_t seed, std::uint64_t stream) {
    HiddenMse loss({.project = true});
    LossContext context = layer_context(kWider);
    context.seed = seed;
    context.stream = stream;
    loss.prepare(context);
    EXPECT_EQ(loss.parameters().front().name, "projection");
    return loss.parameters().front().tensor.detach();
  };
  const at::Tensor first = projection(17, 0);
  EXPECT_EQ(first.sizes(), at::IntArrayRef({12, 8}));
  EXPECT_EQ(first.scalar_type(), at::kFloat);
  EXPECT_LE(first.abs().max().item<double>(), 1 / std::sqrt(8.0));
  EXPECT_GT(first.abs().max().item<double>(), 0.8 / std::sqrt(8.0));
  EXPECT_LT(std::abs(first.mean().item<double>()), 0.1);
  EXPECT_TRUE(at::equal(first, projection(17, 0)));
  EXPECT_FALSE(at::equal(first, projection(18, 0)));
  EXPECT_FALSE(at::equal(first, projection(17, 1)));
}

TEST(LayerLosses, RefuseModelsTheyCannotCompare) {
  const auto refused = [](const LossContext& context, auto loss) {
    const std::string checked = message_of<ConfigError>([&] { loss.check(context); });
    EXPECT_EQ(message_of<ConfigError>([&] { loss.prepare(context); }), checked);
    return checked;
  };
  LossContext context = layer_context(kWider);
  EXPECT_EQ(refused(context, HiddenMse({})),
            "hidden_mse: the hidden states of the student are 8 wide, those of the teacher 12; set "
            "`project: true` to learn a map between");
  EXPECT_EQ(refused(context, HiddenCosine({.layers = {{0, 0}, {1, 4}}, .project = true})),
            "hidden_cosine: `layers.1.teacher` is 4, but the teacher has the layers 0 to 3");
  EXPECT_EQ(refused(context, AttentionKl({.layers = {{2, 0}}})),
            "attention_kl: `layers.0.student` is 2, but the student has the layers 0 to 1");
  context.teacher.reset();
  EXPECT_EQ(
      refused(context, AttentionKl({})),
      "attention_kl: compares inner layers, and the teacher shows none; use a teacher of kind "
      "`local`");
  EXPECT_EQ(message_of<ConfigError>([] { HiddenMse({.weight = -1}); }),
            "hidden_mse: `weight` must be finite and not negative, is -1");
}

TEST(LayerLosses, RefuseInputsWithoutTheirLayers) {
  HiddenMse loss({});
  LossInput input = layer_input({}, at::kFloat);
  EXPECT_EQ(message_of<Error>([&] { loss(input); }),
            "loss `hidden_mse` was called before it was prepared");
  loss.prepare(layer_context({}));
  input.teacher_layers.hidden.erase(3);
  EXPECT_EQ(message_of<Error>([&] { loss(input); }),
            "loss `hidden_mse` needs layer 3 of the teacher, and its input does not hold it");
}

TEST(LayerLosses, AddUpWithLogitLosses) {
  LossInput input = layer_input({}, at::kFloat);
  const LossInput logits = testing::random_loss_input(24, 40, at::kFloat);
  input.student.hidden = logits.student.hidden;
  input.student.head = logits.student.head;
  input.teacher = logits.teacher;
  input.labels = logits.labels;
  std::vector<std::unique_ptr<Loss>> terms;
  terms.push_back(std::make_unique<HiddenMse>(HiddenMseOptions{.weight = 0.1, .project = true}));
  terms.push_back(std::make_unique<ForwardKl>(ForwardKlOptions{.weight = 0.9}));
  terms.push_back(std::make_unique<HiddenMse>(HiddenMseOptions{.weight = 2.0, .project = true}));
  terms.push_back(std::make_unique<AttentionKl>(AttentionKlOptions{.weight = 0.5}));
  std::vector<double> alone;
  LossContext context = layer_context({});
  for (auto& term : terms) {
    term->prepare(context);
    ++context.stream;
    alone.push_back((*term)(input).sum.item<double>());
  }
  const auto sum = make_weighted_sum(std::move(terms));
  sum->prepare(layer_context({}));
  const auto value = (*sum)(input);
  EXPECT_NEAR(value.sum.item<double>(), alone[0] + alone[1] + alone[2] + alone[3], 1e-4);
  ASSERT_EQ(value.parts.size(), 4u);
  const char* names[] = {"hidden_mse", "forward_kl", "hidden_mse_2", "attention_kl"};
  const double weights[] = {0.1, 0.9, 2.0, 0.5};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(value.parts[i].name, names[i]);
    EXPECT_NEAR(value.parts[i].sum.item<double>() * weights[i], alone[i], 1e-5 * alone[i]);
  }
  EXPECT_EQ(value.count, 16);
  ASSERT_EQ(sum->parameters().size(), 2u);
  EXPECT_EQ(sum->parameters()[0].name, "hidden_mse.projection");
  EXPECT_EQ(sum->parameters()[1].name, "hidden_mse_2.projection");
  EXPECT_EQ(sum->needs().student.hidden, (std::vector<std::int64_t>{0, 1, 0, 1}));
  EXPECT_EQ(sum->needs().teacher.attention, (std::vector<std::int64_t>{1, 3}));
  value.sum.backward();
  EXPECT_TRUE(sum->parameters()[1].tensor.grad().defined());
  EXPECT_GT(input.student.head.grad().abs().sum().item<double>(), 0.0);
}

}  // namespace
}  // namespace distill::losses
