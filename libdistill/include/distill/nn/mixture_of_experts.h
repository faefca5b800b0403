#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/nn/mlp.h>

namespace distill::nn {

enum class RouterScore {
  kSoftmax,  ///< over all experts
  kSigmoid,  ///< each expert for itself
};

/// How the score of a group of experts is formed where the choice is limited to the best groups.
enum class GroupScore {
  kMaximum,      ///< of its experts (DeepSeek-V2)
  kSumOfTwoBest  ///< DeepSeek-V3
};

struct RouterOptions {
  RouterScore score = RouterScore::kSoftmax;
  std::int64_t experts_per_token = 1;
  std::int64_t num_groups = 1;  ///< divides the number of experts
  std::int64_t groups_per_token = 1;
  GroupScore group_score = GroupScore::kMaximum;
  bool normalise = false;  ///< the chosen weights sum to 1 before scaling
  double scaling = 1.0;
};

/// Chooses experts for each token. Scores are formed in fp32.
struct Router {
  RouterOptions options;
  at::Tensor weight;           ///< [E, H]
  at::Tensor correction_bias;  ///< fp32 [E] or undefined; added for choosing only, gets no gradient

  struct Choice {
    at::Tensor experts;  ///< int64 [N, k]
    at::Tensor weights;  ///< fp32 [N, k], with a graph to the router's weight
  };
  /// x [N, H].
  Choice operator()(const at::Tensor& x) const;
};

/// Feed-forward layer of many experts of which each token passes a few (Shazeer et al. 2017), with
/// shared ones that all tokens pass (Dai et al. 2024).
struct MixtureOfExperts {
  Router router;
  std::vector<SwigluMlp> experts;
  std::optional<SwigluMlp> shared;

  /// x [N, H] -> [N, H]. Tokens are sorted by expert, so that each expert that is used at all makes
  /// one product of each kind; results are weighted and summed in fp32.
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace distill::nn
