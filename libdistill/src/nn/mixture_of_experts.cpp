#include <distill/nn/mixture_of_experts.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/split_with_sizes.h>

namespace distill::nn {

namespace {

/// Pairs of token and expert in the order of the experts.
struct SortedPairs {
  at::Tensor tokens;                 ///< int64 [N * k], the token of each sorted pair
  at::Tensor places;                 ///< int64 [N * k], where pair i = token * k + choice went
  std::vector<std::size_t> used;     ///< experts with at least one token
  std::vector<std::int64_t> counts;  ///< tokens of each of them
};

SortedPairs sort_by_expert(const at::Tensor& experts, std::size_t num_experts) {
  const at::Tensor flat = experts.flatten();
  const at::Tensor order = at::argsort(flat, /*stable=*/true, 0);
  SortedPairs pairs;
  pairs.tokens = order.floor_divide(experts.size(1));
  pairs.places = at::argsort(order);
  const at::Tensor counts =
      at::bincount(flat, {}, static_cast<std::int64_t>(num_experts)).to(at::kCPU).contiguous();
  const auto* count = counts.const_data_ptr<std::int64_t>();
  for (std::size_t e = 0; e < num_experts; ++e) {
    if (count[e] == 0) continue;
    pairs.used.push_back(e);
    pairs.counts.push_back(count[e]);
  }
  return pairs;
}

}  // namespace

at::Tensor MixtureOfExperts::operator()(const at::Tensor& x) const {
  if (x.size(0) == 0) return shared ? (*shared)(x) : x * 0.0;
  const auto [chosen, weights] = router(x);
  const SortedPairs pairs = sort_by_expert(chosen, experts.size());
  const auto rows = at::split_with_sizes(x.index_select(0, pairs.tokens), pairs.counts);
  std::vector<at::Tensor> results;
  results.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) results.push_back(experts[pairs.used[i]](rows[i]));
  // Back to [N, k, H], then the weighted sum over k.
  const at::Tensor by_token = at::cat(results)
                                  .index_select(0, pairs.places)
                                  .view({x.size(0), chosen.size(1), -1})
                                  .to(at::kFloat);
  at::Tensor sum = at::bmm(weights.unsqueeze(1), by_token).squeeze(1);
  if (shared) sum = sum + (*shared)(x).to(at::kFloat);
  return sum.to(x.scalar_type());
}

}  // namespace distill::nn
