#include <distill/nn/mixture_of_experts.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/split_with_sizes.h>
#include <torch/csrc/autograd/custom_function.h>

namespace distill::nn {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Pairs of token and expert in the order of the experts.
struct SortedPairs {
  at::Tensor order;                  ///< int64 [N * k], which pair token * k + choice comes there
  at::Tensor places;                 ///< int64 [N * k], where each pair went
  std::vector<std::size_t> used;     ///< experts with at least one token
  std::vector<std::int64_t> counts;  ///< tokens of each of them
};

SortedPairs sort_by_expert(const at::Tensor& experts, std::size_t num_experts) {
  const auto [sorted, order] = at::sort(experts.flatten(), /*stable=*/true, 0, false);
  SortedPairs pairs;
  pairs.order = order;
  pairs.places = at::empty_like(order);
  pairs.places.scatter_(0, order, at::arange(order.size(0), order.options()));
  // Where each expert's pairs begin: the only thing that the host waits for.
  const at::Tensor firsts =
      at::arange(static_cast<std::int64_t>(num_experts) + 1, sorted.options());
  const at::Tensor begins = at::searchsorted(sorted, firsts).to(at::kCPU).contiguous();
  const auto* begin = begins.const_data_ptr<std::int64_t>();
  for (std::size_t e = 0; e < num_experts; ++e) {
    if (begin[e + 1] == begin[e]) continue;
    pairs.used.push_back(e);
    pairs.counts.push_back(begin[e + 1] - begin[e]);
  }
  return pairs;
}

/// x [N, H] -> [N * k, H], each token once for each of its experts, in their order. The gradient of
/// a token is summed over its own k rows in fp32 and in a fixed order; that of index_select would
/// be added up in x's dtype, by a GPU in any order.
struct RowsOfExperts : torch::autograd::Function<RowsOfExperts> {
  static Variable forward(AutogradContext* ctx, const Variable& x, const Variable& order,
                          const Variable& places, std::int64_t experts_per_token) {
    ctx->save_for_backward({places});
    ctx->saved_data["experts_per_token"] = experts_per_token;
    return x.index_select(0, order.floor_divide(experts_per_token));
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const at::Tensor places = ctx->get_saved_variables()[0];
    const std::int64_t k = ctx->saved_data["experts_per_token"].toInt();
    const at::Tensor grad = grads[0].index_select(0, places).view({-1, k, grads[0].size(1)}).sum(1);
    return {grad, Variable(), Variable(), Variable()};
  }
};

/// Rows in the order of the experts back to the order of the pairs; a permutation, so that the
/// gradient only goes the other way.
struct RowsOfPairs : torch::autograd::Function<RowsOfPairs> {
  static Variable forward(AutogradContext* ctx, const Variable& rows, const Variable& order,
                          const Variable& places) {
    ctx->save_for_backward({order});
    return rows.index_select(0, places);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    return {grads[0].index_select(0, ctx->get_saved_variables()[0]), Variable(), Variable()};
  }
};

at::Tensor rows_of_experts(const at::Tensor& x, const SortedPairs& pairs, std::int64_t k) {
  if (at::GradMode::is_enabled()) return RowsOfExperts::apply(x, pairs.order, pairs.places, k);
  return x.index_select(0, pairs.order.floor_divide(k));
}

at::Tensor rows_of_pairs(const at::Tensor& rows, const SortedPairs& pairs) {
  if (at::GradMode::is_enabled()) return RowsOfPairs::apply(rows, pairs.order, pairs.places);
  return rows.index_select(0, pairs.places);
}

}  // namespace

at::Tensor MixtureOfExperts::operator()(const at::Tensor& x) const {
  if (x.size(0) == 0) return shared ? (*shared)(x) : x * 0.0;
  const auto [chosen, weights] = router(x);
  const SortedPairs pairs = sort_by_expert(chosen, experts.size());
  const at::Tensor by_expert = rows_of_experts(x, pairs, chosen.size(1));
  const auto rows = at::split_with_sizes(by_expert, pairs.counts);
  std::vector<at::Tensor> results;
  results.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) results.push_back(experts[pairs.used[i]](rows[i]));
  // Back to [N, k, H], then the weighted sum over k.
  const at::Tensor by_token =
      rows_of_pairs(at::cat(results), pairs).view({x.size(0), chosen.size(1), -1}).to(at::kFloat);
  at::Tensor sum = at::bmm(weights.unsqueeze(1), by_token).squeeze(1);
  if (shared) sum = sum + (*shared)(x).to(at::kFloat);
  return sum.to(x.scalar_type());
}

}  // namespace distill::nn
