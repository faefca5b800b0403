#pragma once

#include <ATen/core/Tensor.h>

#include "support/op_check.h"
#include "support/tolerance.h"

/// Cases on a GPU; they skip with ops::why_no_cuda() where there is none.
namespace distill::testing {

/// The operator with its arguments on the GPU and its results back.
inline Op on_cuda(const Op& op) {
  return [op](const Tensors& in) {
    Tensors moved, back;
    for (const at::Tensor& x : in) moved.push_back(x.to(at::kCUDA));
    for (const at::Tensor& y : op(moved)) back.push_back(y.to(at::kCPU));
    return back;
  };
}

/// For products by LibTorch, whose order of sums is not ours: a result as a whole.
inline double cuda_tolerance(at::ScalarType type) {
  return type == at::kBFloat16 ? 1e-2 : 1e-5;
}

/// op on the GPU in `type` against oracle in fp64 on the same rounded inputs, gradients included.
inline void expect_like_oracle_on_cuda(const Op& op, const Op& oracle, const Tensors& inputs,
                                       at::ScalarType type) {
  Tensors rounded;
  for (const at::Tensor& input : inputs) rounded.push_back(input.to(type).to(at::kDouble));
  const Evaluation got = evaluate(on_cuda(op), rounded, type);
  const Evaluation expected = evaluate(oracle, rounded, at::kDouble);
  const double most = cuda_tolerance(type);
  for (std::size_t i = 0; i < expected.outputs.size(); ++i) {
    EXPECT_LE(relative_error(got.outputs[i], expected.outputs[i]), most) << "output " << i;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LE(relative_error(got.gradients[i], expected.gradients[i]), most) << "gradient " << i;
  }
}

}  // namespace distill::testing
