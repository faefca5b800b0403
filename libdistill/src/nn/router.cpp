#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>

#include <distill/nn/mixture_of_experts.h>

namespace distill::nn {

namespace {

/// `scores` [N, E] with everything outside each token's best groups at minus infinity.
at::Tensor keep_best_groups(const at::Tensor& scores, const RouterOptions& options) {
  if (options.groups_per_token >= options.num_groups) return scores;
  const at::Tensor grouped = scores.unflatten(1, {options.num_groups, -1});
  const at::Tensor of_groups = options.group_score == GroupScore::kMaximum
                                   ? grouped.amax(2)
                                   : std::get<0>(at::topk(grouped, 2, 2)).sum(2);
  const at::Tensor best = std::get<1>(at::topk(of_groups, options.groups_per_token, 1));
  const at::Tensor dropped =
      at::ones_like(of_groups, of_groups.options().dtype(at::kBool)).scatter(1, best, false);
  return grouped.masked_fill(dropped.unsqueeze(2), -std::numeric_limits<double>::infinity())
      .flatten(1);
}

}  // namespace

Router::Choice Router::operator()(const at::Tensor& x) const {
  const at::Tensor logits = at::linear(x.to(at::kFloat), weight.to(at::kFloat));
  const at::Tensor scores =
      options.score == RouterScore::kSigmoid ? at::sigmoid(logits) : at::softmax(logits, 1);
  at::Tensor for_choice = scores.detach();
  if (correction_bias.defined()) for_choice = for_choice + correction_bias;
  const at::Tensor experts =
      std::get<1>(at::topk(keep_best_groups(for_choice, options), options.experts_per_token, 1));
  at::Tensor weights = scores.gather(1, experts);
  // Scores of finite logits may underflow to a sum of zero.
  if (options.normalise) weights = weights / (weights.sum(1, true) + 1e-20);
  if (options.scaling != 1.0) weights = weights * options.scaling;
  return {experts, weights};
}

}  // namespace distill::nn
