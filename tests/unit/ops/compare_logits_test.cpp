#include <distill/ops/compare_logits.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "support/op_check.h"
#include "support/torch_error.h"

namespace distill::ops {
namespace {

using testing::normal;

struct Models {
  at::Tensor teacher, student, labels;
};

/// `scale` times normal logits; labels below both vocabularies.
Models models(std::int64_t rows, std::int64_t teacher_ids, std::int64_t student_ids, double scale) {
  const at::Generator generator = at::detail::createCPUGenerator(5);
  const auto ids = std::min(teacher_ids, student_ids);
  return {scale * normal({rows, teacher_ids}, 1), scale * normal({rows, student_ids}, 2),
          at::randint(ids, {rows}, generator, at::TensorOptions(at::kLong))};
}

double nll(const at::Tensor& logits, const at::Tensor& labels) {
  return -at::log_softmax(logits, 1).gather(1, labels.unsqueeze(1)).sum().item<double>();
}

/// The definitions, in float64.
LogitComparison oracle(const Models& x) {
  const at::Tensor teacher = x.teacher.to(at::kDouble), student = x.student.to(at::kDouble);
  const auto shared = std::min(teacher.size(1), student.size(1));
  const at::Tensor t = at::log_softmax(teacher.narrow(1, 0, shared), 1);
  const at::Tensor s = at::log_softmax(student.narrow(1, 0, shared), 1);
  return {(t.exp() * (t - s)).sum().item<double>(), nll(teacher, x.labels), nll(student, x.labels),
          (at::argmax(t, 1) == at::argmax(s, 1)).sum().item<std::int64_t>()};
}

void expect_near(const LogitComparison& found, const LogitComparison& expected, double tolerance) {
  EXPECT_NEAR(found.kl / expected.kl, 1, tolerance);
  EXPECT_NEAR(found.teacher_nll / expected.teacher_nll, 1, tolerance);
  EXPECT_NEAR(found.student_nll / expected.student_nll, 1, tolerance);
  EXPECT_EQ(found.agreed, expected.agreed);
}

// Blocks of 2,048 ids and vectors of 16: less than one, parts of one, some, and many rows.
TEST(CompareLogits, EqualsTheDefinition) {
  for (const std::int64_t ids : {1, 2, 16, 17, 2047, 2048, 2049, 5000}) {
    for (const double scale : {0.5, 8.0}) {
      const Models x = models(37, ids, ids, scale);
      const LogitComparison expected = oracle(x);
      if (ids == 1) {
        const LogitComparison found = compare_logits(x.teacher, x.student, x.labels);
        EXPECT_EQ(found.kl, 0);
        EXPECT_EQ(found.agreed, 37);
        continue;
      }
      expect_near(compare_logits(x.teacher, x.student, x.labels), expected, 1e-12);
      const Models single = {x.teacher.to(at::kFloat), x.student.to(at::kFloat), x.labels};
      expect_near(compare_logits(single.teacher, single.student, single.labels), oracle(single),
                  1e-5);
    }
  }
}

TEST(CompareLogits, ManyUnlikelyIdsBesideALikelyOneCount) {
  Models x = models(8, 50'000, 50'000, 0.1);
  for (const at::Tensor& logits : {x.teacher, x.student}) logits.select(1, 3).fill_(18.5);
  const Models single = {x.teacher.to(at::kFloat), x.student.to(at::kFloat),
                         at::full({8}, 3, at::kLong)};
  expect_near(compare_logits(single.teacher, single.student, single.labels), oracle(single), 1e-2);
}

TEST(CompareLogits, VocabulariesMayDiffer) {
  for (const auto& [teacher, student] :
       {std::pair{2500, 2060}, std::pair{40, 2100}, std::pair{33, 32}}) {
    const Models x = models(9, teacher, student, 3);
    expect_near(compare_logits(x.teacher, x.student, x.labels), oracle(x), 1e-12);
  }
}

TEST(CompareLogits, RowsThatAreNotContiguousAreReadAsTheyAre) {
  const Models x = models(6, 70, 70, 2);
  const at::Tensor wide = at::cat({x.teacher, 100 + x.teacher}, 1);
  const LogitComparison found =
      compare_logits(wide.narrow(1, 0, 70), x.student.t().contiguous().t(), x.labels);
  expect_near(found, oracle(x), 1e-12);
}

TEST(CompareLogits, TheFirstOfEquallyLikelyIdsIsMeant) {
  const at::Tensor level = at::zeros({1, 40}, at::kFloat);
  at::Tensor later = level.clone();
  later.select(1, 7).fill_(1);
  const at::Tensor labels = at::zeros({1}, at::kLong);
  EXPECT_EQ(compare_logits(level, level, labels).agreed, 1);
  EXPECT_EQ(compare_logits(level, later, labels).agreed, 0);
}

TEST(CompareLogits, NotANumberIsNotHidden) {
  Models x = models(3, 2100, 2100, 1);
  x.student.select(0, 1).select(0, 2090).fill_(std::numeric_limits<double>::quiet_NaN());
  const LogitComparison found = compare_logits(x.teacher, x.student, x.labels);
  EXPECT_TRUE(std::isnan(found.kl));
  EXPECT_TRUE(std::isnan(found.student_nll));
  EXPECT_FALSE(std::isnan(found.teacher_nll));
}

TEST(CompareLogits, NoRowsGiveNothing) {
  const Models x = models(0, 5, 5, 1);
  EXPECT_EQ(compare_logits(x.teacher, x.student, x.labels).kl, 0);
}

TEST(CompareLogits, ErrorsNameTheArgument) {
  const Models x = models(3, 5, 5, 1);
  const auto expect_error = [](const at::Tensor& t, const at::Tensor& s, const at::Tensor& labels,
                               const std::string& said) {
    const std::string error = testing::torch_error_of([&] { compare_logits(t, s, labels); });
    EXPECT_NE(error.find(said), std::string::npos) << error;
  };
  expect_error(x.teacher.to(at::kFloat), x.student, x.labels,
               "`student` is Double, expected Float");
  expect_error(x.teacher.narrow(0, 0, 2), x.student, x.labels.narrow(0, 0, 2),
               "`student` must be [2, ids]");
  expect_error(x.teacher, x.student, at::full({3}, 5, at::kLong), "`labels` must lie in [0, 5)");
  expect_error(x.teacher, x.student, at::zeros({2}, at::kLong), "`labels` must be int64 [3]");
}

}  // namespace
}  // namespace distill::ops
