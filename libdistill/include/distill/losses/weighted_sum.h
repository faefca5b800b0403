#pragma once

#include <memory>
#include <vector>

#include <distill/losses/loss.h>

namespace distill::losses {

/// The sum of several losses, each with the weight of its own options. All that have a logit_term()
/// share one pass over the heads. Parts carry the kinds' names, `forward_kl`, `cross_entropy`,
/// `forward_kl_2` where one repeats, in the order given;
/// parameters are named `hidden_mse.projection`, `hidden_mse_2.projection`. Throws ConfigError for
/// an empty list.
std::unique_ptr<Loss> make_weighted_sum(std::vector<std::unique_ptr<Loss>> losses);

}  // namespace distill::losses
