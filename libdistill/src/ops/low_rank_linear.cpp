#include <distill/ops/low_rank_linear.h>

#include <algorithm>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/linear.h>
#include <c10/core/InferenceMode.h>

#include <distill/ops/linear.h>

#include "ops/few_rows.h"
#include "ops/kernel_call.h"
#include "ops/linear_brgemm.h"
#include "ops/low_rank_product.h"

namespace distill::ops {

namespace {

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

void check_change(const at::Tensor& x, const StoredWeight& weight, const LowRank& change) {
  const auto& [a, b, scale, dropout] = change;
  const bool fits = a.defined() && b.defined() && a.dim() == 2 && b.dim() == 2 && a.size(0) > 0 &&
                    a.size(1) == weight.ins() && b.size(0) == weight.outs() &&
                    a.size(0) == b.size(1);
  TORCH_CHECK(fits,
              "low_rank_linear: expected `a` [rank, in] and `b` [out, rank] beside a weight [",
              weight.outs(), ", ", weight.ins(), "]");
  const at::ScalarType wide = accumulator_type(x.scalar_type());
  TORCH_CHECK(a.scalar_type() == wide && b.scalar_type() == wide, "low_rank_linear: `a` is ",
              a.scalar_type(), " and `b` ", b.scalar_type(), ", expected ", wide);
  TORCH_CHECK(dropout.p >= 0 && dropout.p < 1, "low_rank_linear: dropout is ", dropout.p,
              ", expected at least 0 and below 1");
}

LowRankPart checked(const at::Tensor& x, const FrozenLinear& layer) {
  LowRankPart part{
      std::visit([](const auto& weight) { return StoredWeight(weight); }, layer.weight), layer.bias,
      layer.change};
  check_weight(x, part.weight);
  if (part.change) check_change(x, part.weight, *part.change);
  TORCH_CHECK(!part.bias.defined() || !part.bias.requires_grad(),
              "low_rank_linear: the bias is frozen, this one wants a gradient");
  return part;
}

at::Tensor base_product(const at::Tensor& x, const LowRankPart& part) {
  return part.weight.quantized() ? linear(x, *part.weight.quantized(), part.bias)
                                 : linear(x, part.weight.dense(), part.bias);
}

/// By LibTorch's own operators.
at::Tensor composed(const at::Tensor& x, const LowRankPart& part) {
  const at::Tensor base = base_product(x, part);
  if (!part.change) return base;
  const LowRank& change = *part.change;
  const at::Tensor inner =
      linear(dropout(x, change.dropout), change.a.to(x.scalar_type()), at::Tensor());
  return at::addmm(base, inner, (change.b * change.scale).to(x.scalar_type()).t());
}

/// In fp32, for generation.
at::Tensor of_few_rows(const at::Tensor& x, const LowRankPart& part) {
  if (!part.change) return base_product(x, part);
  const LowRank& change = *part.change;
  at::Tensor sum = few_rows_product(x, part.weight);
  sum.addmm_(at::linear(x.to(at::kFloat), change.a), change.b.t(), 1, change.scale);
  if (part.bias.defined()) sum.add_(part.bias);
  return sum.to(x.scalar_type());
}

bool is_of_few_rows(const at::Tensor& x, const LowRankPart& part) {
  return c10::InferenceMode::is_enabled() && are_few_rows(x, part.weight) &&
         !(part.change && part.change->dropout.p > 0);
}

}  // namespace

std::vector<at::Tensor> low_rank_linears(const at::Tensor& x,
                                         const std::vector<FrozenLinear>& layers) {
  std::vector<LowRankPart> parts;
  for (const FrozenLinear& layer : layers) parts.push_back(checked(x, layer));
  const bool together = std::ranges::all_of(parts, [&x](const LowRankPart& part) {
    return !is_of_few_rows(x, part) && has_linear_brgemm(x, part.weight);
  });
  if (together && !parts.empty()) return low_rank_products(x, parts);
  std::vector<at::Tensor> outs;
  for (const LowRankPart& part : parts) {
    outs.push_back(is_of_few_rows(x, part) ? of_few_rows(x, part) : composed(x, part));
  }
  return outs;
}

at::Tensor low_rank_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           const LowRank& change) {
  return low_rank_linears(x, {{weight, bias, change}})[0];
}

at::Tensor low_rank_linear(const at::Tensor& x, const QuantizedMatrix& weight,
                           const at::Tensor& bias, const LowRank& change) {
  return low_rank_linears(x, {{weight, bias, change}})[0];
}

}  // namespace distill::ops
