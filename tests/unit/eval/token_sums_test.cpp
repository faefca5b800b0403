#include "eval/token_sums.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

#include "support/temp_folder.h"

namespace distill::eval {
namespace {

using Row = std::vector<double>;

at::Tensor table(const std::vector<Row>& rows, at::ScalarType dtype = at::kFloat) {
  const auto columns = static_cast<std::int64_t>(rows.at(0).size());
  at::Tensor result = at::empty({static_cast<std::int64_t>(rows.size()), columns}, at::kDouble);
  double* out = result.data_ptr<double>();
  for (const Row& row : rows) out = std::copy(row.begin(), row.end(), out);
  return result.to(dtype);
}

Row random_row(core::RandomState& random, std::size_t size, double scale) {
  Row row;
  for (std::size_t i = 0; i < size; ++i) row.push_back(scale * (2 * random.uniform() - 1));
  return row;
}

double log_sum_exp(const Row& row, std::size_t size) {
  const double top =
      *std::max_element(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(size));
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += std::exp(row[i] - top);
  return top + std::log(sum);
}

/// The definition, in long double: sum of p_t (log p_t - log p_s).
double naive_kl(const Row& teacher, const Row& student) {
  const std::size_t size = std::min(teacher.size(), student.size());
  const double t = log_sum_exp(teacher, size);
  const double s = log_sum_exp(student, size);
  long double kl = 0;
  for (std::size_t i = 0; i < size; ++i) {
    kl += std::exp(static_cast<long double>(teacher[i]) - t) *
          (static_cast<long double>(teacher[i]) - t - student[i] + s);
  }
  return static_cast<double>(kl);
}

/// With the first id as the label of all rows.
void compare(const at::Tensor& teacher, const at::Tensor& student, TokenSums& sums) {
  add_comparison(teacher, student, at::zeros({teacher.size(0)}, at::kLong), sums);
}

TEST(TokenSums, ClosedForm) {
  TokenSums sums;
  // p_t = (3/4, 1/4), p_s = (1/2, 1/2).
  compare(table({{std::log(3.0), 0}}), table({{1, 1}}), sums);
  EXPECT_NEAR(sums.kl, 0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-7);
  EXPECT_NEAR(sums.teacher_nll, -std::log(0.75), 1e-6);
  EXPECT_NEAR(sums.student_nll, -std::log(0.5), 1e-6);
  double nll = 0;
  add_nll(table({{std::log(3.0), 0}, {0, 0}}), at::tensor({0, 1}, at::kLong), nll);
  EXPECT_NEAR(nll, -std::log(0.75) - std::log(0.5), 1e-6);
}

TEST(TokenSums, EqualTheDefinitionOverScales) {
  core::RandomState random(3);
  for (const double scale : {0.1, 1.0, 10.0, 80.0}) {
    std::vector<Row> teacher, student;
    double expected = 0;
    for (int i = 0; i < 20; ++i) {
      teacher.push_back(random_row(random, 300, scale));
      student.push_back(random_row(random, 300, scale));
      // What fp32 tensors hold, exactly.
      for (double& x : teacher.back()) x = static_cast<float>(x);
      for (double& x : student.back()) x = static_cast<float>(x);
      expected += naive_kl(teacher.back(), student.back());
    }
    TokenSums sums;
    compare(table(teacher), table(student), sums);
    EXPECT_NEAR(sums.kl / expected, 1, 1e-5) << scale;
  }
}

TEST(TokenSums, SmallDivergencesKeepTheirDigits) {
  core::RandomState random(4);
  Row teacher = random_row(random, 2000, 4);
  Row student = teacher;
  for (std::size_t i = 0; i < teacher.size(); ++i) {
    teacher[i] = static_cast<float>(teacher[i]);
    student[i] = static_cast<float>(teacher[i] + 1e-3 * (2 * random.uniform() - 1));
  }
  const double expected = naive_kl(teacher, student);
  ASSERT_LT(expected, 1e-6);
  TokenSums sums;
  compare(table({teacher}), table({student}), sums);
  EXPECT_NEAR(sums.kl / expected, 1, 5e-3);
}

TEST(TokenSums, TheSameLogitsGiveExactlyZero) {
  core::RandomState random(5);
  const at::Tensor logits = table({random_row(random, 500, 30), random_row(random, 500, 0.01)});
  TokenSums sums;
  compare(logits, logits.clone(), sums);
  EXPECT_EQ(sums.kl, 0.0);
  EXPECT_EQ(sums.agreed, 2.0);
}

TEST(TokenSums, ExtremeLogitsStayFinite) {
  TokenSums sums;
  // The teacher is sure of id 0, the student of id 1.
  compare(table({{200, 0, 0}}), table({{0, 200, 0}}), sums);
  EXPECT_NEAR(sums.kl, 200, 1e-3);
  sums = {};
  const double infinity = std::numeric_limits<double>::infinity();
  compare(table({{1, 1, -infinity}}), table({{1, 1, 1}}), sums);
  EXPECT_NEAR(sums.kl, std::log(1.5), 1e-6);
}

TEST(TokenSums, PaddingOfTheLargerVocabularyIsIgnored) {
  core::RandomState random(6);
  const Row teacher = random_row(random, 40, 2);
  Row student = random_row(random, 40, 2);
  TokenSums plain;
  compare(table({teacher}, at::kDouble), table({student}, at::kDouble), plain);
  student.resize(48, 9.0);  // padding rows that would win every argmax
  TokenSums padded;
  compare(table({teacher}, at::kDouble), table({student}, at::kDouble), padded);
  EXPECT_DOUBLE_EQ(padded.kl, plain.kl);
  EXPECT_EQ(padded.agreed, plain.agreed);
}

TEST(TokenSums, AgreementCountsEqualArgmax) {
  TokenSums sums;
  compare(table({{1, 2, 3}, {3, 2, 1}, {0, 5, 1}}), table({{0, 0, 9}, {1, 2, 3}, {4, 4.5, 4}}),
          sums);
  EXPECT_EQ(sums.agreed, 2.0);
}

/// The K likeliest ids of each row, ascending, with their log-probabilities.
types::TopKLogProbs likeliest(const std::vector<Row>& rows, std::size_t k) {
  const auto num = static_cast<std::int64_t>(rows.size());
  types::TopKLogProbs top;
  top.ids = at::empty({num, static_cast<std::int64_t>(k)}, at::kLong);
  top.log_probs = at::empty({num, static_cast<std::int64_t>(k)}, at::kDouble);
  top.vocabulary = static_cast<std::int64_t>(rows.at(0).size());
  auto* ids = top.ids.data_ptr<std::int64_t>();
  auto* values = top.log_probs.data_ptr<double>();
  for (const Row& row : rows) {
    std::vector<std::int64_t> order(row.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](auto a, auto b) {
      return row[static_cast<std::size_t>(a)] > row[static_cast<std::size_t>(b)];
    });
    order.resize(k);
    std::sort(order.begin(), order.end());
    for (const auto id : order) {
      *ids++ = id;
      *values++ = row[static_cast<std::size_t>(id)] - log_sum_exp(row, row.size());
    }
  }
  return top;
}

/// The definition over K + 1 classes.
double naive_top_k_kl(const Row& teacher, const Row& student, const std::int64_t* ids,
                      std::size_t k) {
  const double t = log_sum_exp(teacher, teacher.size());
  const double s = log_sum_exp(student, student.size());
  double p_rest = 0;
  double q_rest = 0;
  double kl = 0;
  for (std::size_t v = 0; v < teacher.size(); ++v) {
    if (std::find(ids, ids + k, static_cast<std::int64_t>(v)) != ids + k) {
      kl += std::exp(teacher[v] - t) * (teacher[v] - t - student[v] + s);
    } else {
      p_rest += std::exp(teacher[v] - t);
      q_rest += std::exp(student[v] - s);
    }
  }
  return p_rest > 0 ? kl + p_rest * std::log(p_rest / q_rest) : kl;
}

TEST(TokenSums, TopKIsTheDefinitionOverKPlusOneClassesAndNeverAboveTheWhole) {
  core::RandomState random(7);
  for (const double scale : {0.3, 3.0, 12.0}) {
    std::vector<Row> teacher, student;
    for (int i = 0; i < 12; ++i) {
      teacher.push_back(random_row(random, 40, scale));
      student.push_back(random_row(random, 40, scale));
    }
    TokenSums whole;
    compare(table(teacher, at::kDouble), table(student, at::kDouble), whole);
    double before = 0;
    for (const std::size_t k : {1U, 5U, 39U, 40U}) {
      const auto top = likeliest(teacher, k);
      TokenSums sums;
      add_top_k_comparison(top, table(student, at::kDouble), sums);
      double expected = 0;
      for (std::size_t i = 0; i < teacher.size(); ++i) {
        expected += naive_top_k_kl(teacher[i], student[i],
                                   top.ids.const_data_ptr<std::int64_t>() + i * k, k);
      }
      EXPECT_NEAR(sums.top_k_kl / expected, 1, 1e-9) << scale << " " << k;
      EXPECT_GE(sums.top_k_kl, before);
      EXPECT_LE(sums.top_k_kl, whole.kl * (1 + 1e-12));
      EXPECT_EQ(sums.agreed, whole.agreed);
      EXPECT_EQ(sums.top_k_rows, 12);
      EXPECT_EQ(sums.full_rows, 0);
      before = sums.top_k_kl * (1 - 1e-12);
    }
    EXPECT_NEAR(before / whole.kl, 1, 1e-9) << "K = V is the whole distribution";
  }
}

TEST(TokenSums, TopKOfAnotherTemperatureGivesOnlyAgreement) {
  auto top = likeliest({{3, 1, 0}}, 2);
  top.temperature = 2;
  TokenSums sums;
  add_top_k_comparison(top, table({{3, 1, 0}}), sums);
  EXPECT_EQ(sums.agreed, 1);
  EXPECT_EQ(sums.agreement_rows, 1);
  EXPECT_EQ(sums.top_k_rows, 0);
}

TEST(TokenSums, TopKRefusesIdsTheStudentDoesNotHave) {
  const auto top = likeliest({{0, 1, 2}}, 1);
  TokenSums sums;
  EXPECT_EQ(testing::message_of<TeacherError>([&] {
              add_top_k_comparison(top, table({{3, 1}}), sums);
            }),
            "the teacher names id 2, the student has 2 ids; use a pair with one tokenizer");
}

}  // namespace
}  // namespace distill::eval
