#pragma once

#include <span>

#include <distill/lora/options.h>
#include <distill/models/causal_lm.h>

namespace distill::lora {

/// The layers that `options` mean, among `sites`, and the adapter of each. Names are matched as
/// PEFT does: a list holds names or endings after a dot; a regular expression must match the whole
/// name, one in `rank_pattern` the name or its end after a dot, and the first that matches counts.
/// The embedding is meant only where it is named, and nothing is dropped of it. Throws ConfigError
/// for a target or pattern that matches nothing, listing what there is, for a pattern that is no
/// regular expression, for a rank above the smaller side of its matrix, for the head, and for
/// dropout on the embedding alone.
models::AdapterChoice choose(const LoraOptions& options,
                             std::span<const models::AdapterSite> sites);

/// Elements that will be trained.
std::int64_t count_parameters(const models::AdapterChoice& choice,
                              std::span<const models::AdapterSite> sites);

}  // namespace distill::lora
