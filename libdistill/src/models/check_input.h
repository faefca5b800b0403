#pragma once

#include <distill/models/causal_lm.h>

namespace distill::models {

/// Throws InputError unless the segments cover the ids, every id is in the vocabulary and every
/// position below max_positions.
void check_input(const types::ModelInput& input, const ModelShape& shape);

/// Throws InputError for a layer that is not there.
void check_layers(const types::LayerRequest& wanted, const ModelShape& shape);

/// The same as check_input for `ids` [N] that follow what the caches hold. Throws InputError also
/// where sequences and caches do not fit together.
void check_next_ids(const at::Tensor& ids, const nn::CachedSequences& sequences,
                    const ModelShape& shape);

}  // namespace distill::models
