#include <distill/ops/linear_divergence.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "support/divergence_cases.h"
#include "support/torch_error.h"

namespace distill::ops {
namespace {

using testing::cross_entropy_term;
using testing::divergence_input;
using testing::torch_error_of;

const LogitTerm kKl{LogitTermKind::kForwardKl, 1.0, 1.0, true};
const LogitTerm kCe{LogitTermKind::kCrossEntropy, 1.0};

TEST(LinearDivergenceErrors, NameTheArgument) {
  const auto good = divergence_input({3, 10, 4, 10, 4}, at::kFloat);
  const auto expect_error = [&](auto change, std::vector<LogitTerm> terms, const char* text) {
    auto input = good;
    change(input);
    const std::string message = torch_error_of([&] { linear_divergence(input, terms); });
    EXPECT_NE(message.find(text), std::string::npos) << message;
  };
  using In = LinearDivergenceInput;
  const auto nothing = [](In&) {};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double t : {0.0, -1.0, nan}) {
    expect_error(nothing, {{LogitTermKind::kForwardKl, 1.0, t}},
                 "the temperature of forward_kl must be above 0, is ");
  }
  expect_error(nothing, {{LogitTermKind::kForwardKl, nan}},
               "the weight of forward_kl must be finite");
  const auto with_beta = [](LogitTermKind kind, double beta) {
    LogitTerm term{kind};
    term.beta = beta;
    return std::vector{term};
  };
  for (const double beta : {0.0, 1.0, -0.5, nan}) {
    expect_error(nothing, with_beta(LogitTermKind::kJsd, beta),
                 "the beta of jsd must be in (0, 1)");
  }
  expect_error(nothing, with_beta(LogitTermKind::kJsd, 0), "forward_kl, reverse_kl");
  expect_error(nothing, with_beta(LogitTermKind::kSkewForwardKl, 0), "0 would be forward_kl");
  expect_error(nothing, with_beta(LogitTermKind::kSkewReverseKl, 1), "0 would be reverse_kl");
  LogitTerm symmetric{LogitTermKind::kSymmetricKl};
  symmetric.reverse_weight = -1;
  expect_error(nothing, {symmetric},
               "the reverse weight of symmetric_kl must be 0 or above, is -1");
  expect_error(nothing, {cross_entropy_term(1, 1.0)},
               "the label smoothing of cross_entropy must be in [0, 1), is 1");
  expect_error(nothing, {cross_entropy_term(1, 0, -1)},
               "the z-loss of cross_entropy must be 0 or above, is -1");
  expect_error([](In& in) { in.weights = at::ones({2}); }, {kKl},
               "`weights` must be fp32 or fp64 [3], is Float [2]");
  expect_error(
      [](In& in) {
        in.weights = at::tensor({1.0F, -1.0F, 1.0F});
      },
      {kKl}, "`weights` holds -1 in a row that counts");
  expect_error(nothing, {}, "`terms` is empty");
  expect_error([](In& in) { in.teacher = {}; }, {kKl},
               "`teacher` is missing, forward_kl compares with one");
  expect_error([](In& in) { in.labels = at::Tensor(); }, {kCe},
               "`labels` is missing, cross_entropy needs it");
  expect_error(
      [](In& in) {
        in.labels = at::tensor({0, 10, 1}, at::kLong);
      },
      {kCe}, "`labels` holds 10 in a row that counts, expected an id in [0, 10)");
  expect_error(
      [](In& in) {
        in.labels = at::tensor({0, -1, 1}, at::kLong);
      },
      {kCe}, "`labels` holds -1");
  expect_error([](In& in) { in.labels = at::zeros({2}, at::kLong); }, {kCe},
               "`labels` must be int64 [3], is Long [2]");
  expect_error([](In& in) { in.valid = at::ones({2}, at::kBool); }, {kKl},
               "`valid` must be bool [3], is Bool [2]");
  expect_error([](In& in) { in.student_hidden = at::zeros({3}); }, {kKl},
               "`student_hidden` must have 2 dimensions, has shape [3]");
  expect_error([](In& in) { in.student_hidden = at::Tensor(); }, {kKl},
               "`student_hidden` is missing");
  expect_error(
      [](In& in) {
        in.student_head = at::zeros({10, 5});
      },
      {kKl}, "`student_head` has shape [10, 5] and `student_hidden` [3, 4]");
  expect_error(
      [](In& in) {
        in.student_head = at::zeros({10, 4}, at::kDouble);
      },
      {kKl}, "`student_head` is Double and `student_hidden` Float, they must be the same");
  expect_error(
      [](In& in) {
        in.student_hidden = at::zeros({3, 4}, at::kHalf);
      },
      {kKl}, "`student_hidden` must be fp32, bf16 or fp64, is Half");
  expect_error(
      [](In& in) {
        in.student_head = at::zeros({0, 4});
      },
      {kKl}, "`student_head` has no rows");
  expect_error(
      [](In& in) {
        in.teacher = types::DenseLogits{at::zeros({2, 10})};
      },
      {kKl}, "`teacher` has 2 rows and `student_hidden` 3");
  expect_error(
      [](In& in) {
        in.teacher = types::DenseLogits{at::zeros({3, 10}, at::kLong)};
      },
      {kKl}, "`teacher.logits` must be floating point, is Long");
  expect_error([&](In& in) { in.student_transform.softcap = -1; }, {kKl},
               "must be 0 (off) or above, is -1");
  expect_error([](In& in) { in.workspace_bytes = 0; }, {kKl},
               "`workspace_bytes` must be above 0, is 0");
}

TEST(LinearDivergenceErrors, AllTensorsAreOnOneDevice) {
  const auto good = divergence_input({3, 10, 4, 10, 4}, at::kFloat);
  const auto expect_error = [&](auto change, const char* text) {
    auto input = good;
    change(input);
    const std::string message = torch_error_of([&] {
      linear_divergence(input, std::vector{kKl, kCe});
    });
    EXPECT_NE(message.find(text), std::string::npos) << message;
  };
  using In = LinearDivergenceInput;
  const auto away = [](const at::Tensor& x) { return x.detach().to(at::kMeta); };
  expect_error([&](In& in) { in.student_hidden = away(in.student_hidden); },
               "`student_hidden` is on meta, expected cpu or cuda");
  expect_error([&](In& in) { in.student_head = away(in.student_head); },
               "`student_head` is on meta and `student_hidden` on cpu, all tensors must be on one "
               "device");
  expect_error([&](In& in) { in.labels = away(in.labels); },
               "`labels` is on meta and `student_hidden` on cpu");
  expect_error([&](In& in) { in.valid = away(at::ones({3}, at::kBool)); },
               "`valid` is on meta and `student_hidden` on cpu");
  expect_error([&](In& in) { in.weights = away(at::ones({3})); },
               "`weights` is on meta and `student_hidden` on cpu");
  expect_error(
      [&](In& in) {
        auto& teacher = std::get<types::DenseHidden>(in.teacher);
        teacher.head = away(teacher.head);
      },
      "`teacher.head` is on meta and `student_hidden` on cpu");
  expect_error(
      [&](In& in) {
        in.teacher = types::DenseLogits{away(at::ones({3, 10}))};
      },
      "`teacher.logits` is on meta and `student_hidden` on cpu");
  expect_error(
      [&](In& in) {
        in.teacher =
            types::TopKLogProbs{at::zeros({3, 1}, at::kLong), away(at::zeros({3, 1})), 10, 1.0};
      },
      "`teacher.log_probs` is on meta and `student_hidden` on cpu");
}

}  // namespace
}  // namespace distill::ops
