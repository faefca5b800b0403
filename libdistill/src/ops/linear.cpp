#include <distill/ops/linear.h>

#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/few_rows.h"
#include "ops/kernel_call.h"
#include "ops/linear_brgemm.h"

namespace distill::ops {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

struct BrgemmLinear : torch::autograd::Function<BrgemmLinear> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight,
                          const std::optional<Variable>& bias) {
    ctx->save_for_backward({weight.requires_grad() ? x : Variable(), weight});
    ctx->saved_data["has_bias"] = bias.has_value();
    return linear_forward(x, weight, bias.value_or(Variable()));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("linear");
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& grad = grads[0];
    variable_list result(3);
    if (ctx->needs_input_grad(0)) result[0] = linear_input_grad(grad, saved[1]);
    if (ctx->needs_input_grad(1)) result[1] = linear_weight_grad(grad, saved[0]);
    const bool has_bias = ctx->saved_data["has_bias"].toBool();
    if (has_bias && ctx->needs_input_grad(2))
      result[2] = grad.sum(0, false, at::kFloat).to(at::kBFloat16);
    return result;
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  // Not merely where no graph is recorded: a teacher must round as a student does, and a layer that
  // runs again in the backward pass as in the forward pass.
  if (c10::InferenceMode::is_enabled() && are_few_rows(x, weight)) {
    at::Tensor product = few_rows_product(x, weight);
    if (bias.defined()) product.add_(bias);
    return product.to(x.scalar_type());
  }
  const bool fits = has_linear_brgemm(x, weight) &&
                    (!bias.defined() || (bias.scalar_type() == at::kBFloat16 && bias.dim() == 1 &&
                                         bias.size(0) == weight.size(0)));
  if (!fits) return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
  if (needs_graph({x, weight}) || (bias.defined() && needs_graph({bias}))) {
    return BrgemmLinear::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
  }
  return linear_forward(x, weight, bias);
}

}  // namespace distill::ops
