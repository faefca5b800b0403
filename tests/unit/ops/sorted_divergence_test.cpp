#include <distill/ops/sorted_divergence.h>

#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "support/divergence_oracle.h"
#include "support/op_check.h"
#include "support/torch_error.h"

namespace distill::ops {
namespace {

using testing::normal;
using testing::Op;
using testing::Tensors;

constexpr std::int64_t kRows = 5;

struct Case {
  std::int64_t teacher_ids = 17;
  double temperature = 1.0;
  std::int64_t top_k = 0;
  types::LogitTransform transform = {};
  bool weighs = false;
  std::int64_t workspace_bytes = std::int64_t{256} << 20;
  std::int64_t student_vocabulary = 0;
};

at::Tensor weights() {
  return normal({kRows}, 31).abs();
}

types::DenseHidden teacher_of(const Case& tested, at::ScalarType type) {
  return {normal({kRows, 6}, 11).to(type), normal({tested.teacher_ids, 6}, 12).to(type), {}};
}

Op op_of(const Case& tested) {
  return [tested](const Tensors& x) {
    SortedDivergenceInput input;
    input.student_hidden = x[0];
    input.student_head = x[1];
    input.student_transform = tested.transform;
    input.student_vocabulary = tested.student_vocabulary;
    input.teacher = teacher_of(tested, x[0].scalar_type());
    if (tested.weighs) input.weights = weights();
    input.temperature = tested.temperature;
    input.top_k = tested.top_k;
    input.workspace_bytes = tested.workspace_bytes;
    return Tensors{sorted_divergence(input)};
  };
}

/// As the definition reads, both lists filled with zeros.
Op oracle_of(const Case& tested) {
  return [tested](const Tensors& x) {
    const types::DenseHidden teacher = teacher_of(tested, at::kDouble);
    const auto falling = [&](const at::Tensor& logits) {
      const at::Tensor p = std::get<0>(
          at::sort(at::softmax(logits / tested.temperature, 1), 1, /*descending=*/true));
      at::Tensor filled =
          at::cat({p, at::zeros({kRows, 40 - p.size(1)}, p.options().requires_grad(false))}, 1);
      return tested.top_k > 0 ? filled.narrow(1, 0, tested.top_k) : filled;
    };
    at::Tensor own = testing::oracle_logits(x[0], x[1], tested.transform);
    if (tested.student_vocabulary > 0) own = own.narrow(1, 0, tested.student_vocabulary);
    at::Tensor of_rows =
        (falling(own) - falling(testing::oracle_logits(teacher.hidden, teacher.head, {})))
            .abs()
            .sum(1);
    if (tested.weighs) of_rows = of_rows * weights();
    return Tensors{of_rows.sum()};
  };
}

Tensors inputs() {
  return {normal({kRows, 8}, 1), normal({23, 8}, 2, 0.5)};
}

const Case kCases[] = {{},
                       {.teacher_ids = 31, .temperature = 2.0},
                       {.top_k = 4},
                       {.top_k = 20},
                       {.transform = {.scale = 0.5, .softcap = 3.0}, .weighs = true},
                       {.teacher_ids = 1, .workspace_bytes = 1, .student_vocabulary = 19}};

TEST(SortedDivergence, IsItsDefinition) {
  for (const Case& tested : kCases) {
    testing::expect_like_oracle(op_of(tested), oracle_of(tested), inputs(), at::kDouble);
  }
  testing::expect_like_oracle(op_of(kCases[5]), oracle_of(kCases[5]), inputs(), at::kFloat);
}

TEST(SortedDivergence, HasTheGradientOfDifferences) {
  for (const Case& tested : kCases) {
    testing::expect_gradients_like_differences(op_of(tested), inputs());
  }
}

TEST(SortedDivergence, IsNothingForTheSameModel) {
  SortedDivergenceInput input;
  input.student_hidden = normal({kRows, 8}, 1);
  input.student_head = normal({23, 8}, 2);
  input.teacher = {input.student_hidden, input.student_head, {}};
  EXPECT_EQ(sorted_divergence(input).item<double>(), 0.0);
  // The order of the ids is of no matter.
  input.teacher.head = input.student_head.flip(0);
  EXPECT_NEAR(sorted_divergence(input).item<double>(), 0.0, 1e-13);
}

TEST(SortedDivergence, OfNoRowsHasALiveGraph) {
  SortedDivergenceInput input;
  input.student_hidden = normal({0, 8}, 1).requires_grad_();
  input.student_head = normal({23, 8}, 2).requires_grad_();
  input.teacher = {normal({0, 6}, 3), normal({9, 6}, 4), {}};
  const at::Tensor value = sorted_divergence(input);
  EXPECT_EQ(value.item<double>(), 0.0);
  value.backward();
  EXPECT_EQ(input.student_head.grad().abs().sum().item<double>(), 0.0);
}

TEST(SortedDivergence, NeedsAsManyRowsOfBoth) {
  SortedDivergenceInput input;
  input.student_hidden = normal({3, 8}, 1);
  input.student_head = normal({23, 8}, 2);
  input.teacher = {normal({2, 6}, 3), normal({9, 6}, 4), {}};
  EXPECT_EQ(testing::torch_error_of([&] { sorted_divergence(input); }),
            "sorted_divergence: `teacher` has 2 rows and `student` 3, they must be equal");
}

}  // namespace
}  // namespace distill::ops
