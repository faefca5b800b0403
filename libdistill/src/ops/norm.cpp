#include <distill/ops/norm.h>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/kernel_call.h"

namespace distill::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Rows that share one partial gradient of the weight. A constant, so that the order of additions
/// does not depend on the number of threads.
constexpr std::int64_t kRowsPerPartial = 32;

struct Forward {
  at::Tensor normed;
  at::Tensor sum;   ///< undefined without a residual
  at::Tensor rstd;  ///< undefined unless asked for
};

std::int64_t row_count(const at::Tensor& x, std::int64_t width) {
  return width == 0 ? 0 : x.numel() / width;
}

/// x, residual and weight contiguous; residual may be undefined.
Forward run_forward(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                    double eps, bool keep_rstd) {
  const std::int64_t width = weight.numel();
  const std::int64_t rows = row_count(x, width);
  Forward out;
  out.normed = at::empty_like(x);
  if (residual.defined()) out.sum = at::empty_like(x);
  if (keep_rstd) {
    out.rstd = at::empty({rows}, x.options().dtype(accumulator_type(x.scalar_type())));
  }
  with_kernel_type(x.scalar_type(), [&]<class T>() {
    using A = cpu::Accumulator<T>;
    const cpu::RmsNormArgs<T> args{.x = read<T>(x),
                                   .residual = read<T>(residual),
                                   .weight = read<T>(weight),
                                   .normed = write<T>(out.normed),
                                   .sum = write<T>(out.sum),
                                   .rstd = write<A>(out.rstd),
                                   .width = width,
                                   .eps = static_cast<A>(eps)};
    const auto kernel = cpu::typed_kernels<T>().rms_norm;
    at::parallel_for(0, rows, rows_per_task(width), [&](std::int64_t begin, std::int64_t end) {
      kernel(args, {begin, end});
    });
  });
  return out;
}

struct Gradients {
  at::Tensor x;
  at::Tensor weight;
};

struct BackwardInput {
  at::Tensor x;  ///< what was normalised
  at::Tensor weight;
  at::Tensor rstd;
  at::Tensor grad_normed;
  at::Tensor grad_sum;  ///< may be undefined
  bool wants_x = true;
  bool wants_weight = true;
};

/// Adds the partial sums in order.
template <class A>
void sum_partials(const at::Tensor& partials, const at::Tensor& total) {
  const std::int64_t width = total.numel();
  const A* from = read<A>(partials);
  A* to = write<A>(total);
  for (std::int64_t part = 0; part < partials.size(0); ++part) {
    for (std::int64_t i = 0; i < width; ++i) to[i] += from[part * width + i];
  }
}

Gradients run_backward(const BackwardInput& in) {
  const std::int64_t width = in.weight.numel();
  const std::int64_t rows = row_count(in.x, width);
  const std::int64_t parts = (rows + kRowsPerPartial - 1) / kRowsPerPartial;
  const auto sums = in.x.options().dtype(accumulator_type(in.x.scalar_type()));
  Gradients out;
  at::Tensor partials;
  if (in.wants_x) out.x = at::empty_like(in.x);
  if (in.wants_weight) partials = at::zeros({parts, width}, sums);
  with_kernel_type(in.x.scalar_type(), [&]<class T>() {
    using A = cpu::Accumulator<T>;
    cpu::RmsNormGradArgs<T> args{.x = read<T>(in.x),
                                 .weight = read<T>(in.weight),
                                 .rstd = read<A>(in.rstd),
                                 .grad_normed = read<T>(in.grad_normed),
                                 .grad_sum = read<T>(in.grad_sum),
                                 .grad_x = write<T>(out.x),
                                 .width = width};
    A* const first_partial = write<A>(partials);
    const auto kernel = cpu::typed_kernels<T>().rms_norm_grad;
    at::parallel_for(0, parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t part = begin; part < end; ++part) {
        cpu::RmsNormGradArgs<T> mine = args;
        if (first_partial != nullptr) mine.grad_weight = first_partial + part * width;
        kernel(mine, {part * kRowsPerPartial, std::min(rows, (part + 1) * kRowsPerPartial)});
      }
    });
    if (in.wants_weight) {
      const at::Tensor total = at::zeros({width}, sums);
      sum_partials<A>(partials, total);
      out.weight = total.to(in.weight.scalar_type());
    }
  });
  return out;
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& weight,
                          double eps) {
    const at::Tensor dense_x = x.contiguous();
    const at::Tensor dense_weight = weight.contiguous();
    Forward out = run_forward(dense_x, {}, dense_weight, eps, true);
    ctx->save_for_backward({dense_x, dense_weight, out.rstd});
    return out.normed;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("rms_norm");
    const variable_list saved = ctx->get_saved_variables();
    const Gradients out = run_backward({.x = saved[0],
                                        .weight = saved[1],
                                        .rstd = saved[2],
                                        .grad_normed = grads[0].contiguous(),
                                        .grad_sum = {},
                                        .wants_x = ctx->needs_input_grad(0),
                                        .wants_weight = ctx->needs_input_grad(1)});
    return {out.x, out.weight, Variable()};
  }
};

struct AddRmsNorm : torch::autograd::Function<AddRmsNorm> {
  static variable_list forward(AutogradContext* ctx, const Variable& x, const Variable& residual,
                               const Variable& weight, double eps) {
    const at::Tensor dense_weight = weight.contiguous();
    Forward out = run_forward(x.contiguous(), residual.contiguous(), dense_weight, eps, true);
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({out.sum, dense_weight, out.rstd});
    return {out.normed, out.sum};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("add_rms_norm");
    if (!grads[0].defined()) return {grads[1], grads[1], Variable(), Variable()};
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor grad_sum = grads[1].defined() ? grads[1].contiguous() : at::Tensor();
    const Gradients out =
        run_backward({.x = saved[0],
                      .weight = saved[1],
                      .rstd = saved[2],
                      .grad_normed = grads[0].contiguous(),
                      .grad_sum = grad_sum,
                      .wants_x = ctx->needs_input_grad(0) || ctx->needs_input_grad(1),
                      .wants_weight = ctx->needs_input_grad(2)});
    return {out.x, out.x, out.weight, Variable()};
  }
};

void check(const at::Tensor& x, const at::Tensor& weight, const char* op) {
  check_float_on_cpu(x, op, "x");
  check_same_type(weight, x, op, "weight");
  TORCH_CHECK(x.dim() >= 1, op, ": `x` is a scalar, expected [..., H]");
  TORCH_CHECK(weight.dim() == 1 && weight.size(0) == x.size(-1), op, ": `weight` is ",
              weight.sizes(), ", expected [", x.size(-1), "] as the last dimension of `x`");
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  check(x, weight, "rms_norm");
  if (needs_graph({x, weight})) return RmsNorm::apply(x, weight, eps);
  return run_forward(x.contiguous(), {}, weight.contiguous(), eps, false).normed;
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
  Forward out = run_forward(x.contiguous(), residual.contiguous(), weight.contiguous(), eps, false);
  return {out.normed, out.sum};
}

}  // namespace distill::ops
