#include "ops/low_rank_product.h"

#include <algorithm>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "ops/dropout_body.h"
#include "ops/kernel_call.h"
#include "ops/packed_product.h"

// The change is more depth of the product that is there anyway: [x | x A^T] [W | scale B]^T
// forward, [g | g scale B] [W ; A] backward. Nothing of the size of the output is formed for it.
// Several products of one x share its product with all A, and x's gradient is one sum.

namespace distill::ops {

namespace {

using cpu::Bf16;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

using Parts = std::vector<LowRankPart>;

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

bool any_dropout(const Parts& parts) {
  return std::ranges::any_of(
      parts, [](const LowRankPart& part) { return part.change && part.change->dropout.p > 0; });
}

/// The matrices A of the changed parts as the products take them, and where each one's rows are.
class InnerRows {
 public:
  explicit InnerRows(const Parts& parts) {
    std::vector<at::Tensor> rounded;
    for (const LowRankPart& part : parts) {
      if (!part.change) continue;
      rounded.push_back(rounded_a(part.change->a));
      firsts_.push_back(total_);
      counts_.push_back(rounded.back().size(0));
      total_ += counts_.back();
    }
    if (rounded.size() == 1) a_ = rounded[0];
    if (rounded.size() > 1) a_ = at::cat(rounded);
  }

  std::int64_t total() const { return total_; }
  const at::Tensor& a() const { return a_; }  ///< bf16 [total, in]
  at::Tensor a(std::size_t changed) const {
    return a_.narrow(0, firsts_[changed], counts_[changed]);
  }
  /// The columns of a joint [N, total] that belong to one of them.
  at::Tensor own(const at::Tensor& joint, std::size_t changed) const {
    return joint.narrow(1, firsts_[changed], counts_[changed]);
  }
  std::int64_t first(std::size_t changed) const { return firsts_[changed]; }

 private:
  at::Tensor a_;
  std::int64_t total_ = 0;
  std::vector<std::int64_t> firsts_, counts_;
};

/// x A^T of each changed part, bf16 [N, even rank]; of one product unless elements are dropped.
std::vector<at::Tensor> inner_products(const at::Tensor& x, const at::Tensor& in,
                                       const Parts& parts, const InnerRows& rows) {
  std::vector<at::Tensor> inner;
  if (rows.total() == 0) return inner;
  if (!any_dropout(parts)) {
    const at::Tensor joint = product(in.size(0), rows.total(), {times_transposed(in, rows.a())});
    for (const LowRankPart& part : parts) {
      if (part.change) inner.push_back(rows.own(joint, inner.size()));
    }
    return inner;
  }
  for (const LowRankPart& part : parts) {
    if (!part.change) continue;
    const Dropout& dropout = part.change->dropout;
    const at::Tensor kept = dropout.p > 0 ? paired_rows(dropped(x, dropout)) : in;
    const at::Tensor a = rows.a(inner.size());
    inner.push_back(product(in.size(0), a.size(0), {times_transposed(kept, a)}));
  }
  return inner;
}

struct Formed {
  std::vector<at::Tensor> outs;
  std::vector<at::Tensor> inner;  ///< of the changed parts
};

Formed form(const at::Tensor& x, const Parts& parts) {
  const at::Tensor in = paired_rows(x);
  Formed formed;
  formed.inner = inner_products(x, in, parts, InnerRows(parts));
  std::size_t changed = 0;
  for (const LowRankPart& part : parts) {
    const StoredWeight rows = part.weight.paired();
    const at::Tensor bias =
        part.bias.defined() ? part.bias.to(at::kFloat).contiguous() : at::Tensor();
    std::vector<ProductPart> sum = {rows.times_transposed(in)};
    at::Tensor b;
    if (part.change) {
      b = rounded_b(part.change->b, part.change->scale);
      sum.push_back(times_transposed(formed.inner[changed++], b));
    }
    formed.outs.push_back(product(x.size(0), part.weight.outs(), std::move(sum), bias));
  }
  return formed;
}

/// What a graph keeps of the parts beside their factors, which are saved as variables.
struct HeldParts : torch::CustomClassHolder {
  explicit HeldParts(Parts held) : parts(std::move(held)) {}
  Parts parts;
};

/// The gradients of the outputs on their way to what wants one.
class Backward {
 public:
  Backward(const Parts& parts, const variable_list& grads) : parts_(parts), rows_(parts) {
    for (const at::Tensor& grad : grads) grads_.push_back(paired_rows(grad));
    std::vector<at::Tensor> inner;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!parts[i].change) continue;
      const at::Tensor b = rounded_b(parts[i].change->b, parts[i].change->scale);
      inner.push_back(product(grads_[i].size(0), b.size(1), {times(grads_[i], b)}));
    }
    if (inner.size() == 1) inner_grads_ = inner[0];
    if (inner.size() > 1) inner_grads_ = at::cat(inner, 1);
  }

  at::Tensor of_x() const {
    std::vector<StoredWeight> weights;
    for (const LowRankPart& part : parts_) weights.push_back(part.weight.paired());
    std::vector<ProductPart> sum;
    for (std::size_t i = 0; i < parts_.size(); ++i) sum.push_back(weights[i].times(grads_[i]));
    const bool drops = any_dropout(parts_);
    if (!drops && inner_grads_.defined()) sum.push_back(times(inner_grads_, rows_.a()));
    at::Tensor grad = product(grads_[0].size(0), weights[0].ins(), std::move(sum));
    if (!drops) return grad;
    std::size_t changed = 0;
    for (const LowRankPart& part : parts_) {
      if (!part.change) continue;
      const at::Tensor inner = rows_.own(inner_grads_, changed), a = rows_.a(changed);
      const at::Tensor own = product(inner.size(0), a.size(1), {times(inner, a)});
      ++changed;
      if (part.change->dropout.p > 0) {
        add_dropped(own, part.change->dropout, grad);
      } else {
        grad.add_(own);
      }
    }
    return grad;
  }

  /// fp32 [rank, in] of each changed part.
  std::vector<at::Tensor> of_a(const at::Tensor& x) const {
    std::vector<at::Tensor> result;
    const bool drops = any_dropout(parts_);
    const at::Tensor joint = drops ? at::Tensor() : summed_over_rows(inner_grads_, x);
    for (const LowRankPart& part : parts_) {
      if (!part.change) continue;
      const std::size_t changed = result.size();
      const std::int64_t rank = part.change->a.size(0);
      if (!drops) {
        result.push_back(joint.narrow(0, rows_.first(changed), rank));
        continue;
      }
      const Dropout& dropout = part.change->dropout;
      const at::Tensor kept = dropout.p > 0 ? dropped(x, dropout) : x;
      result.push_back(summed_over_rows(rows_.own(inner_grads_, changed), kept).narrow(0, 0, rank));
    }
    return result;
  }

  /// fp32 [out, rank] of part `i`, whose x A^T is `inner`.
  at::Tensor of_b(std::size_t i, const at::Tensor& inner) const {
    const LowRank& change = *parts_[i].change;
    const at::Tensor sums = summed_over_rows(inner, grads_[i]);
    return sums.narrow(0, 0, change.a.size(0)).t().mul(change.scale).contiguous();
  }

 private:
  const Parts& parts_;
  InnerRows rows_;
  std::vector<at::Tensor> grads_;
  at::Tensor inner_grads_;  ///< bf16 [N, all even ranks]
};

struct BrgemmLowRank : torch::autograd::Function<BrgemmLowRank> {
  /// `factors`: A and B of each changed part, in turn.
  static variable_list forward(AutogradContext* ctx, const Variable& x, at::TensorList factors,
                               const Parts& parts) {
    Formed formed = form(x, parts);
    const bool any_a = std::ranges::any_of(
        parts, [](const auto& part) { return part.change && part.change->a.requires_grad(); });
    variable_list saved = {any_a ? x : Variable()};
    Parts kept = parts;
    std::size_t changed = 0;
    for (LowRankPart& part : kept) {
      if (!part.change) continue;
      const bool wanted = part.change->b.requires_grad();
      saved.insert(saved.end(), {factors[2 * changed], factors[2 * changed + 1],
                                 wanted ? formed.inner[changed] : Variable()});
      part.change->a.reset();  // saved as variables: who changes them is found out
      part.change->b.reset();
      ++changed;
    }
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["parts"] =
        c10::IValue::make_capsule(c10::make_intrusive<HeldParts>(std::move(kept)));
    return formed.outs;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    refuse_second_derivative("low_rank_linear");
    const variable_list saved = ctx->get_saved_variables();
    Parts parts =
        c10::static_intrusive_pointer_cast<HeldParts>(ctx->saved_data["parts"].toCapsule())->parts;
    std::size_t at = 1;
    for (LowRankPart& part : parts) {
      if (!part.change) continue;
      part.change->a = saved[at];
      part.change->b = saved[at + 1];
      at += 3;
    }
    const Backward backward(parts, grads);
    const std::size_t num_changed = (saved.size() - 1) / 3;
    variable_list result(2 * num_changed + 2);
    if (ctx->needs_input_grad(0)) result[0] = backward.of_x();
    if (saved[0].defined() && num_changed > 0) {
      auto of_a = backward.of_a(saved[0]);
      for (std::size_t i = 0; i < num_changed; ++i) {
        if (ctx->needs_input_grad(1 + 2 * i)) result[1 + 2 * i] = std::move(of_a[i]);
      }
    }
    std::size_t changed = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!parts[i].change) continue;
      if (ctx->needs_input_grad(2 + 2 * changed))
        result[2 + 2 * changed] = backward.of_b(i, saved[3 + 3 * changed]);
      ++changed;
    }
    return result;
  }
};

}  // namespace

std::vector<at::Tensor> low_rank_products(const at::Tensor& x, const Parts& parts) {
  std::vector<at::Tensor> factors;
  for (const LowRankPart& part : parts) {
    if (part.change) factors.insert(factors.end(), {part.change->a, part.change->b});
  }
  const bool wanted =
      x.requires_grad() ||
      std::ranges::any_of(factors, [](const at::Tensor& factor) { return factor.requires_grad(); });
  if (!at::GradMode::is_enabled() || !wanted) return form(x, parts).outs;
  return BrgemmLowRank::apply(x, at::TensorList(factors), parts);
}

}  // namespace distill::ops
