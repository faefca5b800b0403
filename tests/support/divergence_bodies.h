#pragma once

#include <string>
#include <tuple>

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <distill/ops/device.h>

#include "ops/divergence_device.h"
#include "support/divergence_cases.h"
#include "support/host_blocks.h"

/// The same cases for everything that forms linear_divergence's sums.
namespace distill::testing {

enum class Body {
  kCpu,
  kBlocksOnCpu,  ///< what a GPU would run, by one thread of the CPU
  kCuda,
};

template <int Threads>
ops::DivergenceSums divergence_by_blocks(const ops::DivergenceProblem& problem) {
  return ops::linear_divergence_on_device(problem, HostKernels<Threads>::kTable, nullptr);
}

/// The input with every tensor on `device`; gradients find their way back.
inline LinearDivergenceInput moved_to(at::Device device, LinearDivergenceInput input) {
  const auto move = [&](at::Tensor& x) {
    if (x.defined()) x = x.to(device);
  };
  move(input.student_hidden);
  move(input.student_head);
  move(input.labels);
  move(input.valid);
  move(input.weights);
  if (auto* hidden = std::get_if<types::DenseHidden>(&input.teacher)) {
    move(hidden->hidden);
    move(hidden->head);
  } else if (auto* logits = std::get_if<types::DenseLogits>(&input.teacher)) {
    move(logits->logits);
  } else if (auto* top_k = std::get_if<types::TopKLogProbs>(&input.teacher)) {
    move(top_k->ids);
    move(top_k->log_probs);
  } else if (auto* sampled = std::get_if<types::SampledLogProbs>(&input.teacher)) {
    move(sampled->ids);
    move(sampled->log_probs);
    move(sampled->weights);
  }
  return input;
}

inline ops::LinearDivergenceResult divergence_by(Body body, const LinearDivergenceInput& input,
                                                 std::span<const LogitTerm> terms) {
  switch (body) {
    case Body::kBlocksOnCpu:
      return ops::linear_divergence_by(&divergence_by_blocks<1>, input, terms);
    case Body::kCuda:
      return ops::linear_divergence(moved_to(at::kCUDA, input), terms);
    case Body::kCpu:
      break;
  }
  return ops::linear_divergence(input, terms);
}

/// Cases for each type and each body; inputs are tensors of the CPU.
class DivergenceCase : public ::testing::TestWithParam<std::tuple<at::ScalarType, Body>> {
 protected:
  void SetUp() override {
    at::manual_seed(5);
    if (body() != Body::kCuda) return;
    if (const auto reason = ops::why_no_cuda()) GTEST_SKIP() << *reason;
  }
  at::ScalarType type() const { return std::get<0>(GetParam()); }
  Body body() const { return std::get<1>(GetParam()); }
  ops::LinearDivergenceResult divergence(const LinearDivergenceInput& input,
                                         std::span<const LogitTerm> terms) const {
    return divergence_by(body(), input, terms);
  }
  void expect_oracle(const LinearDivergenceInput& input, std::span<const LogitTerm> terms,
                     double slack = 1.0) const {
    // A GPU's bf16 gradients are rounded twice, by 2^-8 at most: logits' and result.
    const bool twice = type() == at::kBFloat16 && body() != Body::kCpu;
    expect_divergence_oracle(input, terms, twice ? 1.6 * slack : slack,
                             [this](const auto&... args) { return divergence(args...); });
  }
};

inline auto every_case() {
  return ::testing::Combine(::testing::Values(at::kDouble, at::kFloat, at::kBFloat16),
                            ::testing::Values(Body::kCpu, Body::kBlocksOnCpu, Body::kCuda));
}

inline std::string case_name(
    const ::testing::TestParamInfo<std::tuple<at::ScalarType, Body>>& info) {
  constexpr const char* kBodies[] = {"", "_blocks", "_cuda"};
  return std::string(c10::toString(std::get<0>(info.param))) +
         kBodies[static_cast<int>(std::get<1>(info.param))];
}

}  // namespace distill::testing
