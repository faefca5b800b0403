#include <distill/ops/linear.h>

#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/brgemm.h"
#include "ops/few_rows.h"
#include "ops/held_weight.h"
#include "ops/kernel_call.h"
#include "ops/linear_brgemm.h"
#include "ops/linear_widened.h"

namespace distill::ops {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// How a layer in bf16 is multiplied.
struct Products {
  at::Tensor (*forward)(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias);
  at::Tensor (*input_grad)(const at::Tensor& grad, const StoredWeight& weight);
  at::Tensor (*weight_grad)(const at::Tensor& grad, const at::Tensor& x);
};

constexpr Products kBrgemm{linear_forward, linear_input_grad, linear_weight_grad};
constexpr Products kWidened{widened_forward, widened_input_grad, widened_weight_grad};

const Products& products() {
  return cpu_has_brgemm() ? kBrgemm : kWidened;
}

/// Whether they take all three.
bool has_products(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias) {
  return (has_linear_brgemm(x, weight) || wants_linear_widened(x, weight)) &&
         (!bias.defined() || (bias.scalar_type() == at::kBFloat16 && bias.dim() == 1 &&
                              bias.size(0) == weight.outs()));
}

struct Bf16Linear : torch::autograd::Function<Bf16Linear> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight,
                          const std::optional<Variable>& bias) {
    ctx->save_for_backward({weight.requires_grad() ? x : Variable(), weight});
    ctx->saved_data["has_bias"] = bias.has_value();
    return products().forward(x, weight, bias.value_or(Variable()));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("linear");
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& grad = grads[0];
    variable_list result(3);
    if (ctx->needs_input_grad(0)) result[0] = products().input_grad(grad, saved[1]);
    if (ctx->needs_input_grad(1)) result[1] = products().weight_grad(grad, saved[0]);
    const bool has_bias = ctx->saved_data["has_bias"].toBool();
    if (has_bias && ctx->needs_input_grad(2))
      result[2] = grad.sum(0, false, at::kFloat).to(at::kBFloat16);
    return result;
  }
};

at::Tensor product_with_codes(const at::Tensor& x, const StoredWeight& weight,
                              const at::Tensor& bias) {
  if (has_products(x, weight, bias)) return products().forward(x, weight, bias);
  const at::Tensor matrix = weight.matrix(x.scalar_type());
  return bias.defined() ? at::linear(x, matrix, bias) : at::linear(x, matrix);
}

struct LinearWithCodes : torch::autograd::Function<LinearWithCodes> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const QuantizedMatrix& weight,
                          const std::optional<Variable>& bias) {
    ctx->saved_data["weight"] = hold(weight);
    ctx->saved_data["own"] = has_products(x, weight, bias.value_or(Variable()));
    return product_with_codes(x, weight, bias.value_or(Variable()));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("linear");
    const StoredWeight weight = held(ctx->saved_data["weight"]);
    const at::Tensor& grad = grads[0];
    variable_list result(3);
    result[0] = ctx->saved_data["own"].toBool() ? products().input_grad(grad, weight)
                                                : at::mm(grad, weight.matrix(grad.scalar_type()));
    return result;
  }
};

at::Tensor of_few_rows(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias) {
  at::Tensor product = few_rows_product(x, weight);
  if (bias.defined()) product.add_(bias);
  return product.to(x.scalar_type());
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  // Not merely where no graph is recorded: a teacher must round as a student does, and a layer that
  // runs again in the backward pass as in the forward pass.
  if (c10::InferenceMode::is_enabled() && are_few_rows(x, weight)) {
    return of_few_rows(x, weight, bias);
  }
  if (!has_products(x, weight, bias))
    return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
  if (needs_graph({x, weight}) || (bias.defined() && needs_graph({bias}))) {
    return Bf16Linear::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
  }
  return products().forward(x, weight, bias);
}

at::Tensor linear(const at::Tensor& x, const QuantizedMatrix& weight, const at::Tensor& bias) {
  check_float(x, "linear", "x");
  check_same_device(weight.codes, x, "linear", "weight");
  TORCH_CHECK(x.dim() == 2 && x.size(1) == weight.columns, "linear: `x` is ", x.sizes(),
              " and the quantised weight [", weight.rows, ", ", weight.columns,
              "], expected [N, in] and [out, in]");
  TORCH_CHECK(!bias.defined() || !bias.requires_grad(),
              "linear: a bias beside a quantised weight is frozen, this one wants a gradient");
  if (c10::InferenceMode::is_enabled() && are_few_rows(x, weight)) {
    return of_few_rows(x, weight, bias);
  }
  if (!needs_graph({x})) return product_with_codes(x, weight, bias);
  return LinearWithCodes::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

}  // namespace distill::ops
