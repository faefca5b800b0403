#include <distill/ops/norm.h>

#include <torch/csrc/autograd/custom_function.h>

#include "ops/kernel_call.h"
#include "ops/norm_body.h"

namespace distill::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Where the tensors lie.
NormOutput run_forward(const NormInput& in, const char* op) {
  const DeviceScope scope(in.x, op);
  return norm_forward(in, scope.queue(), op);
}
NormGradients run_backward(const NormGradInput& in, const char* op) {
  const DeviceScope scope(in.x, op);
  return norm_backward(in, scope.queue(), op);
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight,
                          double eps) {
    const at::Tensor dense_x = x.contiguous();
    const at::Tensor dense_weight = weight.contiguous();
    NormOutput out = run_forward({dense_x, {}, dense_weight, eps, true}, "rms_norm");
    ctx->save_for_backward({dense_x, dense_weight, out.rstd});
    return out.normed;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("rms_norm");
    const variable_list saved = ctx->get_saved_variables();
    const NormGradients out = run_backward({.x = saved[0],
                                            .weight = saved[1],
                                            .rstd = saved[2],
                                            .grad_normed = grads[0].contiguous(),
                                            .grad_sum = {},
                                            .wants_x = ctx->needs_input_grad(0),
                                            .wants_weight = ctx->needs_input_grad(1)},
                                           "rms_norm");
    return {out.x, out.weight, Variable()};
  }
};

struct AddRmsNorm : torch::autograd::Function<AddRmsNorm> {
  static variable_list forward(AutogradContext* ctx, const Variable& x, const Variable& residual,
                               const Variable& weight, double eps) {
    const at::Tensor dense_weight = weight.contiguous();
    NormOutput out = run_forward({x.contiguous(), residual.contiguous(), dense_weight, eps, true},
                                 "add_rms_norm");
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({out.sum, dense_weight, out.rstd});
    return {out.normed, out.sum};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("add_rms_norm");
    if (!grads[0].defined()) return {grads[1], grads[1], Variable(), Variable()};
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor grad_sum = grads[1].defined() ? grads[1].contiguous() : at::Tensor();
    const NormGradients out =
        run_backward({.x = saved[0],
                      .weight = saved[1],
                      .rstd = saved[2],
                      .grad_normed = grads[0].contiguous(),
                      .grad_sum = grad_sum,
                      .wants_x = ctx->needs_input_grad(0) || ctx->needs_input_grad(1),
                      .wants_weight = ctx->needs_input_grad(2)},
                     "add_rms_norm");
    return {out.x, out.x, out.weight, Variable()};
  }
};

void check(const at::Tensor& x, const at::Tensor& weight, const char* op) {
  check_float(x, op, "x");
  check_same_type(weight, x, op, "weight");
  TORCH_CHECK(x.dim() >= 1, op, ": `x` is a scalar, expected [..., H]");
  TORCH_CHECK(weight.dim() == 1 && weight.size(0) == x.size(-1), op, ": `weight` is ",
              weight.sizes(), ", expected [", x.size(-1), "] as the last dimension of `x`");
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  check(x, weight, "rms_norm");
  if (needs_graph({x, weight})) return RmsNorm::apply(x, weight, eps);
  return run_forward({x.contiguous(), {}, weight.contiguous(), eps, false}, "rms_norm").normed;
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& residual,
                                               const at::Tensor& weight, double eps) {
  check(x, weight, "add_rms_norm");
  check_same_type(residual, x, "add_rms_norm", "residual");
  TORCH_CHECK(residual.sizes() == x.sizes(), "add_rms_norm: `residual` is ", residual.sizes(),
              ", expected ", x.sizes(), " as `x`");
  if (needs_graph({x, residual, weight})) {
    const variable_list out = AddRmsNorm::apply(x, residual, weight, eps);
    return {out[0], out[1]};
  }
  NormOutput out = run_forward(
      {x.contiguous(), residual.contiguous(), weight.contiguous(), eps, false}, "add_rms_norm");
  return {out.normed, out.sum};
}

}  // namespace distill::ops
