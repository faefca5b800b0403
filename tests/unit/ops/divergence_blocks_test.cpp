#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <ATen/ops/equal.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include "ops/head_and_tail.h"
#include "support/divergence_bodies.h"
#include "support/torch_error.h"

// What a GPU's blocks of threads would run, run by threads of the CPU.
namespace distill::ops {
namespace {

using testing::cross_entropy_term;
using testing::divergence_by_blocks;
using testing::divergence_input;
using testing::every_divergence;
using testing::HostBlock;
using testing::HostBlockState;
using testing::relative_error;
using testing::tolerance_of;

std::vector<LogitTerm> every_term() {
  std::vector<LogitTerm> terms = every_divergence(2.0);
  terms[1].temperature = 0.7;
  terms[2].temperature = 1.5;
  terms[3].temperature = 5.0;
  terms[4].temperature = 1.0;
  terms.push_back(cross_entropy_term(0.5, 0.1, 0.01));
  terms.push_back(cross_entropy_term(0.25));
  return terms;
}

/// The gradients and the total that `body` gives.
std::vector<at::Tensor> outcome(DivergenceBody body, const LinearDivergenceInput& input,
                                std::span<const LogitTerm> terms) {
  input.student_hidden.mutable_grad() = at::Tensor();
  input.student_head.mutable_grad() = at::Tensor();
  const auto result = linear_divergence_by(body, input, terms);
  result.total.backward();
  return {result.total, input.student_hidden.grad(), input.student_head.grad()};
}

class DivergenceBlocks : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  /// Several threads must give what one gives: nobody reads what is not written yet.
  static void expect_same(const LinearDivergenceInput& input, std::span<const LogitTerm> terms) {
    const auto alone = outcome(&divergence_by_blocks<1>, input, terms);
    for (const auto body : {&divergence_by_blocks<3>, &divergence_by_blocks<4>}) {
      const auto together = outcome(body, input, terms);
      EXPECT_LE(relative_error(together[0], alone[0]), tolerance_of(GetParam()).value);
      EXPECT_LE(relative_error(together[1], alone[1]), tolerance_of(GetParam()).gradient);
      EXPECT_LE(relative_error(together[2], alone[2]), tolerance_of(GetParam()).gradient);
      const auto again = outcome(body, input, terms);
      for (std::size_t i = 0; i < again.size(); ++i) EXPECT_TRUE(at::equal(again[i], together[i]));
    }
  }
};

TEST_P(DivergenceBlocks, ThreadsAgreeWithADenseTeacher) {
  at::manual_seed(4);
  for (const std::int64_t vocabulary : {1, 2, 37, 150}) {
    auto input = divergence_input({6, vocabulary, 5, vocabulary, 4}, GetParam());
    input.student_transform = {0.9, 4.0};
    input.weights = at::rand({6}, at::kDouble);
    input.workspace_bytes = 8000;
    expect_same(input, every_term());
  }
}

TEST_P(DivergenceBlocks, ThreadsAgreeWithASparseTeacher) {
  at::manual_seed(6);
  for (const std::int64_t count : {1, 5, 40}) {
    auto input = divergence_input({6, 40, 5, 40, 4}, GetParam());
    input.student_transform = {0.9, 4.0};
    input.teacher = testing::top_k_signal(at::randn({6, 40}), count, 1.0);
    expect_same(input, every_term());
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DivergenceBlocks,
                         ::testing::Values(at::kDouble, at::kFloat, at::kBFloat16),
                         [](const auto& parameter) {
                           return std::string(c10::toString(parameter.param));
                         });

template <class T>
void expect_threshold(const std::vector<T>& log_probs, double mass) {
  HostBlockState state(1);
  HostBlock block(state, 0);
  const auto count = static_cast<std::int64_t>(log_probs.size());
  const T got = cuda::head_threshold<T>(block, count, mass, [&](std::int64_t i) {
    return cuda::Number<T>{log_probs[static_cast<std::size_t>(i)]};
  });
  std::vector<T> probabilities;
  for (const T x : log_probs) probabilities.push_back(std::exp(x));
  const T least = cpu::least_of_head(probabilities, mass);
  EXPECT_NEAR(std::exp(got), least, 4 * std::numeric_limits<T>::epsilon() * least);
}

TEST(BlockThreshold, IsThatOfTheHost) {
  std::mt19937 random(9);
  for (int round = 0; round < 200; ++round) {
    std::normal_distribution<double> normal(0.0, round % 5 == 0 ? 0.01 : 3.0);
    std::vector<double> wide(1 + random() % 300);
    double total = 0;
    for (double& x : wide) {
      x = normal(random);
      total += std::exp(x);
    }
    for (double& x : wide) x -= std::log(total);
    expect_threshold(wide, 0.5);
    expect_threshold(std::vector<float>(wide.begin(), wide.end()), 0.5);
  }
  expect_threshold(std::vector<double>{0.0}, 0.5);
}

TEST(BlockThreshold, IsBelowAllWhereTheMassIsNotThere) {
  HostBlockState state(1);
  HostBlock block(state, 0);
  const float threshold = cuda::head_threshold<float>(
      block, 3, 0.5, [](std::int64_t) { return cuda::Number<float>{-20.0F}; });
  EXPECT_LT(threshold, -1e30F);
}

TEST(BlockNumbers, Bf16IsRoundedLikeTorch) {
  std::mt19937 random(2);
  for (int i = 0; i < 100000; ++i) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    const cpu::Bf16 got = cpu::scalar::to_bf16(x);
    if (std::isnan(x)) {
      EXPECT_GT(got.bits & 0x7fff, 0x7f80);
    } else {
      EXPECT_EQ(got.bits, c10::BFloat16(x).x) << x;
    }
  }
}

TEST(BlockLimits, TooManyTermsAreNamed) {
  const auto input = divergence_input({3, 10, 4, 10, 4}, at::kFloat);
  const std::vector<LogitTerm> terms(static_cast<std::size_t>(cuda::kMostTerms + 1));
  const std::string message = testing::torch_error_of(
      [&] { linear_divergence_by(&divergence_by_blocks<1>, input, terms); });
  EXPECT_NE(message.find("`terms` has 17 entries, on cpu at most 16 fit in one call"),
            std::string::npos)
      << message;
}

}  // namespace
}  // namespace distill::ops
