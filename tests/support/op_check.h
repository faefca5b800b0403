#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>

/// Checks of differentiable operators against a plain composition in float64.
namespace distill::testing {

using Tensors = std::vector<at::Tensor>;
using Op = std::function<Tensors(const Tensors&)>;

/// Normal numbers in fp64, the same for the same seed.
inline at::Tensor normal(at::IntArrayRef shape, std::uint64_t seed, double scale = 1.0) {
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble)) * scale;
}

struct Evaluation {
  Tensors outputs;    ///< as fp64
  Tensors gradients;  ///< of sum(output * fixed random numbers), as fp64
};

/// The scalar whose gradient is compared; the factors depend on the output's place and shape only.
inline at::Tensor weighted_sum(const Tensors& outputs) {
  at::Tensor total;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor factor = normal(outputs[i].sizes(), 900 + i).to(at::kBFloat16).to(at::kDouble);
    const at::Tensor term = (outputs[i].to(at::kDouble) * factor).sum();
    total = total.defined() ? total + term : term;
  }
  return total;
}

/// Runs op on copies of `inputs` in `type`.
inline Evaluation evaluate(const Op& op, const Tensors& inputs, at::ScalarType type) {
  Tensors leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.detach().to(type, false, true).requires_grad_());
  }
  const Tensors outputs = op(leaves);
  weighted_sum(outputs).backward();
  Evaluation result;
  for (const at::Tensor& output : outputs) {
    EXPECT_EQ(output.scalar_type(), type);
    result.outputs.push_back(output.detach().to(at::kDouble));
  }
  for (const at::Tensor& leaf : leaves) {
    const at::Tensor grad = leaf.grad();
    result.gradients.push_back(grad.defined() ? grad.to(at::kDouble)
                                              : at::zeros_like(leaf, at::kDouble));
  }
  return result;
}

/// Relative to each value and, near zero, to the largest.
inline double tolerance(at::ScalarType type) {
  if (type == at::kBFloat16) return 1.0 / 128;
  return type == at::kFloat ? 4e-6 : 1e-12;
}

inline void expect_close(const at::Tensor& got, const at::Tensor& expected, double relative,
                         const std::string& what) {
  ASSERT_EQ(got.sizes(), expected.sizes()) << what;
  if (got.numel() == 0) return;
  const at::Tensor bound = relative * (expected.abs() + 0.25 * expected.abs().max());
  const at::Tensor excess = (got - expected).abs() - bound;
  EXPECT_LE(excess.max().item<double>(), 0.0)
      << what << ": largest error " << (got - expected).abs().max().item<double>();
}

/// op in `type` against oracle in fp64 on the same rounded inputs.
inline void expect_like_oracle(const Op& op, const Op& oracle, const Tensors& inputs,
                               at::ScalarType type) {
  Tensors rounded;
  for (const at::Tensor& input : inputs) rounded.push_back(input.to(type).to(at::kDouble));
  const Evaluation got = evaluate(op, rounded, type);
  const Evaluation expected = evaluate(oracle, rounded, at::kDouble);
  for (std::size_t i = 0; i < expected.outputs.size(); ++i) {
    expect_close(got.outputs[i], expected.outputs[i], tolerance(type),
                 "output " + std::to_string(i) + " in " + c10::toString(type));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    expect_close(got.gradients[i], expected.gradients[i], tolerance(type),
                 "gradient " + std::to_string(i) + " in " + c10::toString(type));
  }
}

/// Central differences in fp64 for every element of every input (keep them small).
inline void expect_gradients_like_differences(const Op& op, const Tensors& inputs) {
  constexpr double kStep = 1e-5;
  const Evaluation got = evaluate(op, inputs, at::kDouble);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    at::Tensor slope = at::zeros_like(inputs[i]);
    for (std::int64_t e = 0; e < inputs[i].numel(); ++e) {
      const auto value_at = [&](double shift) {
        Tensors moved = inputs;
        moved[i] = inputs[i].clone();
        moved[i].view(-1)[e] += shift;
        return weighted_sum(op(moved)).item<double>();
      };
      slope.view(-1)[e] = (value_at(kStep) - value_at(-kStep)) / (2 * kStep);
    }
    expect_close(got.gradients[i], slope, 1e-7, "difference quotient " + std::to_string(i));
  }
}

}  // namespace distill::testing
