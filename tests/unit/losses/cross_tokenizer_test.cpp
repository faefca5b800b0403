#include <cmath>
#include <limits>

#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/losses/alm.h>
#include <distill/losses/cross_entropy.h>
#include <distill/losses/forward_kl.h>
#include <distill/losses/uld.h>
#include <distill/losses/weighted_sum.h>

#include "support/chunked_input.h"
#include "support/temp_folder.h"
#include "support/tolerance.h"
#include "support/torch_error.h"

namespace distill::losses {
namespace {

using testing::chunked_input;
using testing::message_of;

const types::AlignedChunks& answer_of(const LossInput& input) {
  return std::get<types::AlignedChunks>(input.teacher);
}

/// log-probability of each chunk, [C], by the definition.
at::Tensor oracle_chunks(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& labels,
                         const at::Tensor& chunk_of_row, std::int64_t count) {
  const at::Tensor all = at::log_softmax(at::mm(hidden, head.t()), 1);
  std::vector<at::Tensor> sums(static_cast<std::size_t>(count), at::zeros({}, at::kDouble));
  for (std::int64_t row = 0; row < labels.size(0); ++row) {
    const auto chunk = chunk_of_row[row].item<std::int64_t>();
    if (chunk < 0) continue;
    auto& sum = sums[static_cast<std::size_t>(chunk)];
    sum = sum + all[row][labels[row].item<std::int64_t>()];
  }
  return at::stack(sums);
}

/// One chunk as the paper writes it.
at::Tensor oracle_coins(AlmDivergence divergence, const at::Tensor& log_p, const at::Tensor& log_q,
                        double t) {
  const at::Tensor p = (log_p / t).exp();
  const at::Tensor q = (log_q / t).exp();
  const auto kl = [](const at::Tensor& a, const at::Tensor& b) {
    return a * (a / b).log() + (1 - a) * ((1 - a) / (1 - b)).log();
  };
  if (divergence == AlmDivergence::kTvd) return (p - q).abs();
  return divergence == AlmDivergence::kKl ? kl(p, q) : kl(q, p);
}

at::Tensor oracle_alm(const AlmOptions& options, const LossInput& input, const at::Tensor& hidden,
                      const at::Tensor& head) {
  const auto& answer = answer_of(input);
  const at::Tensor q = oracle_chunks(hidden, head, input.labels, answer.tokens->student_chunks, 4);
  const at::Tensor p = oracle_chunks(answer.hidden->hidden, answer.hidden->head,
                                     answer.tokens->labels, answer.tokens->chunk_of_row, 4);
  const double factor = options.scale_by_temperature ? options.temperature : 1.0;
  return options.weight * factor *
         oracle_coins(options.divergence, p, q, options.temperature).sum();
}

const AlmOptions kOptions[] = {
    {},
    {.weight = 0.3, .temperature = 1.0},
    {.temperature = 5.0, .scale_by_temperature = false},
    {.temperature = 2.0, .divergence = AlmDivergence::kReverseKl},
    {.temperature = 3.0, .divergence = AlmDivergence::kTvd},
};

TEST(Alm, IsItsDefinitionWithItsGradient) {
  for (const AlmOptions& options : kOptions) {
    const LossInput input = chunked_input();
    const types::LossValue value = Alm(options)(input);
    const at::Tensor hidden = input.student.hidden.detach().clone().requires_grad_();
    const at::Tensor head = input.student.head.detach().clone().requires_grad_();
    const at::Tensor expected = oracle_alm(options, input, hidden, head);
    EXPECT_NEAR(value.sum.item<double>(), expected.item<double>(), 1e-11);
    EXPECT_NEAR(value.parts[0].sum.item<double>() * options.weight, expected.item<double>(), 1e-11);
    EXPECT_EQ(value.count, 6) << "tokens in chunks";
    value.sum.backward();
    expected.backward();
    EXPECT_LE(testing::relative_error(input.student.hidden.grad(), hidden.grad()), 1e-9);
    EXPECT_LE(testing::relative_error(input.student.head.grad(), head.grad()), 1e-9);
  }
}

TEST(Alm, HasTheGradientOfDifferences) {
  for (const AlmOptions& options : kOptions) {
    const testing::Op op = [&](const testing::Tensors& x) {
      LossInput input = chunked_input();
      input.student.hidden = x[0];
      input.student.head = x[1];
      return testing::Tensors{Alm(options)(input).sum};
    };
    testing::expect_gradients_like_differences(
        op, {testing::normal({8, 5}, 1), testing::normal({13, 5}, 2)});
  }
}

/// Its slope is that of cross-entropy times 1 - u_T / u_S at a high temperature.
TEST(Alm, ComparesWithCrossEntropyInSize) {
  LossInput input = chunked_input();
  auto tokens = testing::four_chunks();
  input.teacher = types::AlignedChunks{tokens, {}, at::full({4}, -1e-6, at::kDouble)};
  input.mask = tokens->student_chunks >= 0;
  Alm({.temperature = 1e6})(input).sum.backward();
  const at::Tensor of_alm = input.student.hidden.grad().clone();
  input.student.hidden.mutable_grad().reset();
  CrossEntropy({})(input).sum.backward();
  EXPECT_LE(testing::relative_error(of_alm, input.student.hidden.grad()), 1e-4)
      << "a teacher that is sure of the text";
}

/// A chunk of one token each.
LossInput same_models() {
  LossInput input = chunked_input();
  auto tokens = std::make_shared<types::TeacherTokens>();
  tokens->input = types::single_sequence(testing::ids({0, 3, 1, 4, 1, 5, 9, 2}));
  tokens->labels = input.labels;
  tokens->chunk_of_row = testing::ids({0, 1, 2, 3, 4, 5, 6, 7});
  tokens->student_chunks = tokens->chunk_of_row;
  tokens->first_rows = tokens->chunk_of_row;
  tokens->student_first = tokens->chunk_of_row;
  input.teacher = types::AlignedChunks{
      tokens,
      types::DenseHidden{input.student.hidden.detach(), input.student.head.detach(), {}},
      {}};
  return input;
}

TEST(CrossTokenizerLosses, AreNothingForTheSameModel) {
  for (const AlmOptions& options : kOptions) {
    const LossInput input = same_models();
    const types::LossValue value = Alm(options)(input);
    EXPECT_NEAR(value.sum.item<double>(), 0.0, 1e-12);
    EXPECT_EQ(value.count, 8);
    value.sum.backward();
    EXPECT_LE(input.student.hidden.grad().abs().max().item<double>(), 1e-10);
  }
  EXPECT_EQ(Uld({})(same_models()).sum.item<double>(), 0.0);
}

TEST(Uld, ComparesWhereBothReadTheSameText) {
  const LossInput input = chunked_input();
  const types::LossValue value = Uld({.weight = 1.5, .temperature = 2.0})(input);
  const auto& answer = answer_of(input);
  double expected = 0;
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto sorted = [&](const at::Tensor& hidden, const at::Tensor& head,
                            const at::Tensor& rows) {
      const at::Tensor logits = at::mm(hidden, head.t())[rows[i].item<std::int64_t>()];
      return std::get<0>(at::softmax(logits / 2.0, 0).sort(0, true));
    };
    const at::Tensor s =
        sorted(input.student.hidden, input.student.head, answer.tokens->student_first);
    const at::Tensor t =
        sorted(answer.hidden->hidden, answer.hidden->head, answer.tokens->first_rows);
    expected += (s.narrow(0, 0, 9) - t).abs().sum().item<double>();
    expected += s.narrow(0, 9, 4).sum().item<double>();
  }
  EXPECT_NEAR(value.parts[0].sum.item<double>(), expected, 1e-12);
  EXPECT_NEAR(value.sum.item<double>(), 1.5 * expected, 1e-12);
  EXPECT_EQ(value.count, 4);
}

/// What is outside the mask, or in no chunk, may hold anything.
TEST(CrossTokenizerLosses, DoNotLookAtWhatDoesNotCount) {
  for (const bool alm : {true, false}) {
    LossInput input = chunked_input();
    input.mask.select(0, 4).fill_(false);  // chunk 2
    input.mask.select(0, 6).fill_(false);  // the second token of chunk 3
    const auto evaluate = [&] { return alm ? Alm({.temperature = 2.0})(input) : Uld({})(input); };
    const types::LossValue before = evaluate();
    at::Tensor changed = input.student.hidden.detach().clone();
    for (const std::int64_t row : {0, 4, 7}) {
      changed.select(0, row).fill_(std::numeric_limits<double>::quiet_NaN());
    }
    input.student.hidden = changed.requires_grad_();
    input.labels.select(0, 4).fill_(-100);
    at::Tensor theirs = answer_of(input).hidden->hidden;
    theirs.select(0, 5).fill_(std::numeric_limits<double>::quiet_NaN());
    const types::LossValue after = evaluate();
    EXPECT_EQ(after.sum.item<double>(), before.sum.item<double>());
    EXPECT_EQ(after.count, alm ? 3 : 3);
    after.sum.backward();
    EXPECT_TRUE(input.student.head.grad().isfinite().all().item<bool>());
    EXPECT_EQ(changed.grad()[0].abs().sum().item<double>(), 0.0);
  }
}

TEST(CrossTokenizerLosses, OfNoChunksAreNothingWithALiveGraph) {
  for (const bool alm : {true, false}) {
    LossInput input = chunked_input();
    input.mask.fill_(false);
    const types::LossValue value = alm ? Alm({})(input) : Uld({})(input);
    EXPECT_EQ(value.sum.item<double>(), 0.0);
    EXPECT_EQ(value.count, 0);
    value.sum.backward();
    EXPECT_EQ(input.student.head.grad().abs().sum().item<double>(), 0.0);
  }
}

TEST(CrossTokenizerLosses, WeighRows) {
  LossInput input = chunked_input();
  input.weights = at::full({8}, 0.25, at::kDouble);
  const LossInput plain = chunked_input();
  EXPECT_NEAR(Alm({})(input).sum.item<double>(), 0.25 * Alm({})(plain).sum.item<double>(), 1e-12);
  EXPECT_NEAR(Uld({})(input).sum.item<double>(), 0.25 * Uld({})(plain).sum.item<double>(), 1e-12);
}

/// Probabilities next to 0 and 1 give finite values and slopes.
TEST(Alm, StandsExtremes) {
  for (const double log_p : {0.0, -1e-12, -50.0, -1e6, -std::numeric_limits<double>::infinity()}) {
    for (const double scale : {1e-3, 60.0}) {
      LossInput input = chunked_input();
      input.student.hidden = (input.student.hidden.detach() * scale).requires_grad_();
      input.teacher =
          types::AlignedChunks{testing::four_chunks(), {}, at::full({4}, log_p, at::kDouble)};
      for (const AlmOptions& options : kOptions) {
        const types::LossValue value = Alm(options)(input);
        EXPECT_TRUE(std::isfinite(value.sum.item<double>())) << log_p << " " << scale;
        value.sum.backward();
        EXPECT_TRUE(input.student.hidden.grad().isfinite().all().item<bool>());
      }
    }
  }
}

TEST(CrossTokenizerLosses, SayWhatTheyNeed) {
  LossInput input = chunked_input();
  input.teacher = std::monostate();
  EXPECT_TRUE(message_of<TeacherError>([&] {
                Alm({})(input);
              }).starts_with("alm: the teacher does not say what it makes of chunks"));
  input = chunked_input();
  std::get<types::AlignedChunks>(input.teacher).hidden.reset();
  EXPECT_TRUE(message_of<TeacherError>([&] {
                Uld({})(input);
              }).starts_with("uld: compares whole distributions"));
  EXPECT_EQ(message_of<TeacherError>([&] { Alm({})(input); }),
            "alm: the teacher gives neither log-probabilities nor hidden states");
  input.labels = input.labels.narrow(0, 0, 7);
  input.student.hidden = input.student.hidden.narrow(0, 0, 7);
  EXPECT_EQ(message_of<TeacherError>([&] { Alm({})(input); }),
            "alm: the teacher's chunks are of 8 positions, the student has 7");
}

TEST(CrossTokenizerLosses, OthersRefuseTheirTeacherByName) {
  const LossInput input = chunked_input();
  EXPECT_NE(testing::torch_error_of([&] { ForwardKl({})(input); }).find("alm and uld"),
            std::string::npos);
  EXPECT_NO_THROW(CrossEntropy({})(input)) << "it looks at no teacher";
}

TEST(CrossTokenizerLosses, StandBesideCrossEntropy) {
  const LossInput input = chunked_input();
  std::vector<std::unique_ptr<Loss>> terms;
  terms.push_back(std::make_unique<CrossEntropy>(CrossEntropyOptions{}));
  terms.push_back(std::make_unique<Alm>(AlmOptions{.weight = 0.5}));
  const double expected =
      CrossEntropy({})(input).sum.item<double>() + 0.5 * Alm({})(input).sum.item<double>();
  const auto sum = make_weighted_sum(std::move(terms));
  EXPECT_TRUE(sum->across_tokenizers());
  const auto value = (*sum)(input);
  EXPECT_NEAR(value.sum.item<double>(), expected, 1e-10);
  EXPECT_EQ(value.count, 8);
  EXPECT_EQ(value.parts[1].name, "alm");
}

TEST(CrossTokenizerLosses, RefuseBadOptions) {
  EXPECT_EQ(message_of<ConfigError>([] { Alm({.temperature = 0}); }),
            "alm: `temperature` must be above 0, is 0");
  EXPECT_EQ(message_of<ConfigError>([] { Uld({.top_k = -1}); }),
            "uld: `top_k` must be 0 (all) or above, is -1");
}

}  // namespace
}  // namespace distill::losses
