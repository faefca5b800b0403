#pragma once

#include <cstdint>

#include <distill/io/json_value.h>
#include <distill/nn/rotary_table.h>

namespace distill::models {

/// Rotary settings of a config.json, in the published form (`rope_theta`, `rope_scaling` with
/// `rope_type` or `type`) or the newer one (`rope_parameters`). Throws FormatError for values that
/// make no sense, UnsupportedError naming a kind of scaling that is not done here.
nn::RopeOptions read_rope(const io::JsonCursor& config, std::int64_t max_positions);

/// What DeepSeek multiplies the softmax's scale with when its context was stretched
/// (`mscale_all_dim`); 1 without it. `rope` was read from the same config.
double stretched_softmax_scale(const io::JsonCursor& config, const nn::RopeOptions& rope);

}  // namespace distill::models
