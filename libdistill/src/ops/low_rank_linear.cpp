#include <distill/ops/low_rank_linear.h>

#include <optional>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <distill/ops/linear.h>

#include "ops/dropout_body.h"
#include "ops/few_rows.h"
#include "ops/held_weight.h"
#include "ops/kernel_call.h"
#include "ops/linear_brgemm.h"
#include "ops/packed_product.h"

// The change is more depth of the product that is there anyway: [x | x A^T] [W | scale B]^T
// forward, [g | g scale B] [W ; A] backward. Nothing of the size of the output is formed for it.

namespace distill::ops {

namespace {

using cpu::Bf16;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Depths of products are even: an odd rank gets one more, of zeros.
std::int64_t even(std::int64_t rank) {
  return rank + rank % 2;
}

/// bf16 [even rank, in].
at::Tensor rounded_a(const at::Tensor& a) {
  if (a.size(0) % 2 == 0) return a.to(at::kBFloat16).contiguous();
  at::Tensor out = at::zeros({even(a.size(0)), a.size(1)}, a.options().dtype(at::kBFloat16));
  out.narrow(0, 0, a.size(0)).copy_(a);
  return out;
}

/// bf16 [out, even rank], scaled.
at::Tensor rounded_b(const at::Tensor& b, double scale) {
  if (b.size(1) % 2 == 0) return (b * scale).to(at::kBFloat16).contiguous();
  at::Tensor out = at::zeros({b.size(0), even(b.size(1))}, b.options().dtype(at::kBFloat16));
  out.narrow(1, 0, b.size(1)).copy_(b * scale);
  return out;
}

at::Tensor product(std::int64_t rows, std::int64_t columns, std::vector<ProductPart> parts,
                   const at::Tensor& bias = {}) {
  at::Tensor out = at::empty({rows, columns}, at::kBFloat16);
  multiply({rows, columns, std::move(parts), read<float>(bias)}, write<Bf16>(out));
  return out;
}

/// small^T wide, sums over rows: [small.size(1), wide.size(1)] in fp32.
at::Tensor summed_over_rows(const at::Tensor& small, const at::Tensor& wide) {
  const at::Tensor in = transposed_rows(small), rows = paired_rows(wide);
  at::Tensor out = at::empty({in.size(0), rows.size(1)}, at::kFloat);
  multiply({in.size(0), rows.size(1), {times(in, rows)}}, write<float>(out));
  return out;
}

struct Formed {
  at::Tensor out;
  at::Tensor inner;  ///< bf16 [N, even rank]
};

Formed form(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias,
            const LowRank& change) {
  const at::Tensor in = paired_rows(x);
  const StoredWeight rows = weight.paired();
  const at::Tensor a = rounded_a(change.a), b = rounded_b(change.b, change.scale);
  const at::Tensor added = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
  const at::Tensor kept = change.dropout.p > 0 ? paired_rows(dropped(x, change.dropout)) : in;
  const at::Tensor inner = product(x.size(0), a.size(0), {times_transposed(kept, a)});
  return {product(x.size(0), weight.outs(), {rows.times_transposed(in), times_transposed(inner, b)},
                  added),
          inner};
}

struct BrgemmLowRank : torch::autograd::Function<BrgemmLowRank> {
  // What wants gradients comes first: an absent bias would shift the numbers of what follows it.
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& a,
                          const Variable& b, const StoredWeight& weight,
                          const std::optional<Variable>& bias, double scale, double p,
                          std::int64_t seed) {
    const LowRank change{a, b, scale, {p, static_cast<std::uint64_t>(seed)}};
    const Formed formed = form(x, weight, bias.value_or(Variable()), change);
    ctx->save_for_backward({a.requires_grad() ? x : Variable(), weight.dense(), a, b,
                            b.requires_grad() ? formed.inner : Variable()});
    if (weight.quantized()) ctx->saved_data["weight"] = hold(*weight.quantized());
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["p"] = p;
    ctx->saved_data["seed"] = seed;
    return formed.out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("low_rank_linear");
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &inner = saved[4];
    const StoredWeight weight =
        saved[1].defined() ? StoredWeight(saved[1]) : held(ctx->saved_data["weight"]);
    const double scale = ctx->saved_data["scale"].toDouble();
    const Dropout dropout{ctx->saved_data["p"].toDouble(),
                          static_cast<std::uint64_t>(ctx->saved_data["seed"].toInt())};
    const std::int64_t rank = saved[2].size(0), n = grads[0].size(0);
    const at::Tensor grad = paired_rows(grads[0]);
    const StoredWeight rows = weight.paired();
    const at::Tensor a = rounded_a(saved[2]), b = rounded_b(saved[3], scale);
    const at::Tensor inner_grad = product(n, b.size(1), {times(grad, b)});
    variable_list result(8);
    if (ctx->needs_input_grad(0) && dropout.p == 0) {
      result[0] = product(n, weight.ins(), {rows.times(grad), times(inner_grad, a)});
    } else if (ctx->needs_input_grad(0)) {
      result[0] = product(n, weight.ins(), {rows.times(grad)});
      add_dropped(product(n, weight.ins(), {times(inner_grad, a)}), dropout, result[0]);
    }
    if (ctx->needs_input_grad(1)) {
      const at::Tensor kept = dropout.p > 0 ? dropped(x, dropout) : x;
      result[1] = summed_over_rows(inner_grad, kept).narrow(0, 0, rank);
    }
    if (ctx->needs_input_grad(2)) {
      result[2] = summed_over_rows(inner, grad).narrow(0, 0, rank).t().mul(scale).contiguous();
    }
    return result;
  }
};

void check_weight(const at::Tensor& x, const StoredWeight& weight) {
  if (weight.quantized()) {
    check_float(x, "low_rank_linear", "x");
    check_same_device(weight.quantized()->codes, x, "low_rank_linear", "weight");
  } else {
    check_same_type(weight.dense(), x, "low_rank_linear", "weight");
    TORCH_CHECK(weight.dense().dim() == 2, "low_rank_linear: `weight` is ", weight.dense().sizes(),
                ", expected [out, in]");
    TORCH_CHECK(!weight.dense().requires_grad(),
                "low_rank_linear: the weight is frozen, this one wants a gradient");
  }
  TORCH_CHECK(x.dim() == 2 && x.size(1) == weight.ins(), "low_rank_linear: `x` is ", x.sizes(),
              " and `weight` [", weight.outs(), ", ", weight.ins(),
              "], expected [N, in] and [out, in]");
}

void check_change(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias,
                  const LowRank& change) {
  const auto& [a, b, scale, dropout] = change;
  check_weight(x, weight);
  const bool fits = a.defined() && b.defined() && a.dim() == 2 && b.dim() == 2 && a.size(0) > 0 &&
                    a.size(1) == weight.ins() && b.size(0) == weight.outs() &&
                    a.size(0) == b.size(1);
  TORCH_CHECK(fits,
              "low_rank_linear: expected `a` [rank, in] and `b` [out, rank] beside a weight [",
              weight.outs(), ", ", weight.ins(), "]");
  const at::ScalarType wide = accumulator_type(x.scalar_type());
  TORCH_CHECK(a.scalar_type() == wide && b.scalar_type() == wide, "low_rank_linear: `a` is ",
              a.scalar_type(), " and `b` ", b.scalar_type(), ", expected ", wide);
  TORCH_CHECK(!bias.defined() || !bias.requires_grad(),
              "low_rank_linear: the bias is frozen, this one wants a gradient");
  TORCH_CHECK(dropout.p >= 0 && dropout.p < 1, "low_rank_linear: dropout is ", dropout.p,
              ", expected at least 0 and below 1");
}

/// By LibTorch's own operators.
at::Tensor composed(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias,
                    const LowRank& change) {
  const at::Tensor inner = at::linear(dropout(x, change.dropout), change.a.to(x.scalar_type()));
  const at::Tensor b = (change.b * change.scale).to(x.scalar_type());
  const at::Tensor base =
      weight.quantized() ? linear(x, *weight.quantized(), bias) : linear(x, weight.dense(), bias);
  return at::addmm(base, inner, b.t());
}

/// In fp32, for generation.
at::Tensor of_few_rows(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias,
                       const LowRank& change) {
  at::Tensor sum = few_rows_product(x, weight);
  sum.addmm_(at::linear(x.to(at::kFloat), change.a), change.b.t(), 1, change.scale);
  if (bias.defined()) sum.add_(bias);
  return sum.to(x.scalar_type());
}

at::Tensor changed(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias,
                   const LowRank& change) {
  check_change(x, weight, bias, change);
  if (c10::InferenceMode::is_enabled() && change.dropout.p == 0 && are_few_rows(x, weight)) {
    return of_few_rows(x, weight, bias, change);
  }
  if (!has_linear_brgemm(x, weight)) return composed(x, weight, bias, change);
  if (!needs_graph({x, change.a, change.b})) return form(x, weight, bias, change).out;
  return BrgemmLowRank::apply(x, change.a, change.b, weight,
                              bias.defined() ? std::optional(bias) : std::nullopt, change.scale,
                              change.dropout.p, static_cast<std::int64_t>(change.dropout.seed));
}

}  // namespace

at::Tensor low_rank_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           const LowRank& change) {
  return changed(x, weight, bias, change);
}

at::Tensor low_rank_linear(const at::Tensor& x, const QuantizedMatrix& weight,
                           const at::Tensor& bias, const LowRank& change) {
  return changed(x, weight, bias, change);
}

}  // namespace distill::ops
