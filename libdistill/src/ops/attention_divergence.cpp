#include <distill/ops/attention_divergence.h>

#include <ATen/ops/mul.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/attention_divergence_blocks.h"
#include "ops/kernel_call.h"
#include "ops/segments.h"

namespace distill::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr const char* kOp = "attention_divergence";

void check_side(const types::AttentionInputs& side, const char* name) {
  check_float(side.q, kOp, (std::string(name) + ".q").c_str());
  check_same_type(side.k, side.q, kOp, (std::string(name) + ".k").c_str());
  const at::Tensor &q = side.q, &k = side.k;
  TORCH_CHECK(q.dim() == 3 && q.size(1) > 0, kOp, ": `", name, ".q` is ", q.sizes(),
              ", expected [N, heads, D]");
  TORCH_CHECK(k.dim() == 3 && k.size(0) == q.size(0) && k.size(2) == q.size(2) && k.size(1) > 0 &&
                  q.size(1) % k.size(1) == 0,
              kOp, ": `", name, ".k` is ", k.sizes(), ", expected [", q.size(0), ", a divisor of ",
              q.size(1), ", ", q.size(2), "] for `", name, ".q` ", q.sizes());
}

void check(const AttentionDivergenceInput& input) {
  check_side(input.student, "student");
  check_side(input.teacher, "teacher");
  const std::int64_t rows = input.student.q.size(0);
  TORCH_CHECK(input.teacher.q.size(0) == rows, kOp, ": `teacher.q` has ", input.teacher.q.size(0),
              " rows, expected ", rows, " as `student.q`");
  check_segments(input.segments, rows, kOp);
  check_same_device(input.teacher.q, input.student.q, kOp, "teacher.q");
  for (const at::Tensor* x : {&input.valid, &input.weights}) {
    if (x->defined()) {
      check_same_device(*x, input.student.q, kOp, x == &input.valid ? "valid" : "weights");
    }
  }
  TORCH_CHECK(!input.valid.defined() || (input.valid.scalar_type() == at::kBool &&
                                         input.valid.sizes() == at::IntArrayRef({rows})),
              kOp, ": `valid` must be Bool [", rows, "]");
  TORCH_CHECK(!input.weights.defined() || ((input.weights.scalar_type() == at::kFloat ||
                                            input.weights.scalar_type() == at::kDouble) &&
                                           input.weights.sizes() == at::IntArrayRef({rows})),
              kOp, ": `weights` must be Float or Double [", rows, "]");
}

at::Tensor value_of(const AttentionDivergenceSums& sums, const at::Tensor& q) {
  return at::scalar_tensor(sums.value, q.options().dtype(accumulator_type(q.scalar_type())));
}

struct FormedAttentionGradients : torch::autograd::Function<FormedAttentionGradients> {
  static Variable forward(AutogradContext* context, const Variable& q, const Variable& k,
                          const AttentionDivergenceSums& sums) {
    auto& saved = context->saved_data;
    saved["q_grad"] = sums.q_grad;
    saved["k_grad"] = sums.k_grad;
    saved["q_type"] = q.scalar_type();
    saved["k_type"] = k.scalar_type();
    return value_of(sums, q);
  }

  static variable_list backward(AutogradContext* context, const variable_list& incoming) {
    refuse_second_derivative(kOp);
    auto& saved = context->saved_data;
    const auto scaled = [&](const char* gradient, const char* type) {
      return at::mul(saved[gradient].toTensor(), incoming[0]).to(saved[type].toScalarType());
    };
    return {scaled("q_grad", "q_type"), scaled("k_grad", "k_type"), Variable()};
  }
};

}  // namespace

at::Tensor attention_divergence(const AttentionDivergenceInput& input) {
  check(input);
  const at::Tensor &q = input.student.q, &k = input.student.k;
  const bool with_graph = needs_graph({q, k});
  const AttentionDivergenceSums sums = [&] {
    const c10::NoGradGuard no_graph;
    return sum_attention_divergence(input, with_graph);
  }();
  if (with_graph) return FormedAttentionGradients::apply(q, k, sums);
  return value_of(sums, q);
}

}  // namespace distill::ops
