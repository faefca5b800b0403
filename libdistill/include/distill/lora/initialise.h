#pragma once

#include <cstdint>
#include <vector>

#include <distill/lora/options.h>
#include <distill/models/causal_lm.h>

namespace distill::lora {

/// Gives the adapters of `model` their first tensors, on its device and wanting gradients. The same
/// seed gives the same numbers, whatever the threads (with kPissa: on the same machine). kPissa
/// writes to the weights, which must be in memory of their own. Throws ConfigError for kPissa with
/// an adapter of the embedding or a quantised weight.
void initialise(models::CausalLm& model, Init init, std::uint64_t seed);

/// Everything that is trained of the adapters, in a fixed order: `MODULE.lora_A.weight`,
/// `.lora_B.weight` and `.lora_magnitude_vector` (of the embedding `.lora_embedding_A` and `_B`).
std::vector<models::NamedParameter> parameters(models::CausalLm& model);

}  // namespace distill::lora
