#pragma once

#include <distill/models/causal_lm.h>

namespace distill::lora {

/// Puts every adapter into its weight, formed in fp32 and rounded once to the weight's dtype, and
/// takes the adapters away. Weights that are mapped are replaced, not written to. Throws
/// UnsupportedError for an adapter of an embedding that is the head too (merged, it would change
/// the logits twice) or of a quantised weight.
void merge(models::CausalLm& model);

}  // namespace distill::lora
