#include <distill/ops/label_log_probs.h>

#include <limits>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randint.h>
#include <gtest/gtest.h>

#include "support/divergence_oracle.h"
#include "support/op_check.h"
#include "support/torch_error.h"

namespace distill::ops {
namespace {

using testing::normal;
using testing::Op;
using testing::Tensors;

constexpr std::int64_t kRows = 7;
constexpr std::int64_t kIds = 21;

struct Case {
  types::LogitTransform transform = {};
  std::int64_t vocabulary = 0;
  bool masks = false;
  std::int64_t workspace_bytes = std::int64_t{256} << 20;
};

at::Tensor labels() {
  const at::Generator generator = at::detail::createCPUGenerator(5);
  return at::randint(16, {kRows}, generator, at::TensorOptions(at::kLong));
}

at::Tensor mask(const Case& tested) {
  if (!tested.masks) return {};
  at::Tensor valid = labels() >= 0;
  valid.select(0, 0).fill_(false);
  valid.select(0, 4).fill_(false);
  return valid;
}

Op op_of(const Case& tested) {
  return [tested](const Tensors& x) {
    LabelLogProbsInput input{x[0], x[1], tested.transform, labels(), mask(tested)};
    input.vocabulary = tested.vocabulary;
    input.workspace_bytes = tested.workspace_bytes;
    return Tensors{label_log_probs(input)};
  };
}

Op oracle_of(const Case& tested) {
  return [tested](const Tensors& x) {
    const std::int64_t ids = tested.vocabulary > 0 ? tested.vocabulary : kIds;
    const at::Tensor logits =
        testing::oracle_logits(x[0], x[1], tested.transform).narrow(1, 0, ids);
    at::Tensor values = at::log_softmax(logits, 1).gather(1, labels().unsqueeze(1)).squeeze(1);
    const at::Tensor valid = mask(tested);
    if (valid.defined()) values = at::where(valid, values, at::zeros_like(values));
    return Tensors{values};
  };
}

Tensors inputs() {
  return {normal({kRows, 12}, 1), normal({kIds, 12}, 2, 0.5)};
}

const Case kCases[] = {{},
                       {{.scale = 0.5, .softcap = 0.0}},
                       {{.scale = 1.0, .softcap = 2.0}, 18},
                       {{}, 16, true},
                       {{}, 0, true, 1}};

TEST(LabelLogProbs, AreThoseOfTheSoftmaxInAllTypes) {
  for (const Case& tested : kCases) {
    testing::expect_like_oracle(op_of(tested), oracle_of(tested), inputs(), at::kDouble);
    testing::expect_like_oracle(op_of(tested), oracle_of(tested), inputs(), at::kFloat);
  }
}

TEST(LabelLogProbs, HaveTheGradientOfDifferences) {
  for (const Case& tested : kCases) {
    testing::expect_gradients_like_differences(op_of(tested), inputs());
  }
}

TEST(LabelLogProbs, OfBf16AreFormedInFp32) {
  const Case tested;
  const Tensors x = {inputs()[0].to(at::kBFloat16).requires_grad_(),
                     inputs()[1].to(at::kBFloat16).requires_grad_()};
  const at::Tensor got = op_of(tested)(x)[0];
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  const Tensors wide = {x[0].detach().to(at::kDouble).requires_grad_(),
                        x[1].detach().to(at::kDouble).requires_grad_()};
  const at::Tensor expected = oracle_of(tested)(wide)[0];
  testing::expect_close(got.detach().to(at::kDouble), expected.detach(), 2e-5, "bf16");
  const at::Tensor factors = normal({kRows}, 9);  // of both signs
  (got * factors.to(at::kFloat)).sum().backward();
  (expected * factors).sum().backward();
  for (int i = 0; i < 2; ++i) {
    testing::expect_close(x[i].grad().to(at::kDouble), wide[i].grad(), 0.03, "bf16 gradient");
  }
}

TEST(LabelLogProbs, RowsThatDoNotCountMayHoldAnything) {
  const Case tested{{}, 0, true};
  Tensors x = inputs();
  x[0].select(0, 4).fill_(std::numeric_limits<double>::quiet_NaN());
  x[0].requires_grad_();
  x[1].requires_grad_();
  const at::Tensor got = op_of(tested)(x)[0];
  EXPECT_EQ(got[4].item<double>(), 0.0);
  got.sum().backward();
  EXPECT_TRUE(x[1].grad().isfinite().all().item<bool>());
  EXPECT_EQ(x[0].grad()[4].abs().sum().item<double>(), 0.0);
}

TEST(LabelLogProbs, OfNoRowsHaveALiveGraph) {
  Tensors x = inputs();
  x[0].requires_grad_();
  x[1].requires_grad_();
  LabelLogProbsInput input{x[0], x[1], {}, labels(), labels() < 0};
  label_log_probs(input).sum().backward();
  EXPECT_EQ(x[0].grad().abs().sum().item<double>(), 0.0);
  EXPECT_EQ(x[1].grad().abs().sum().item<double>(), 0.0);
}

TEST(LabelLogProbs, NeedALabelInTheVocabulary) {
  const Tensors x = inputs();
  LabelLogProbsInput input{x[0], x[1], {}, labels() + kIds, {}};
  EXPECT_NE(testing::torch_error_of([&] { label_log_probs(input); }).find("`labels` holds"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::ops
