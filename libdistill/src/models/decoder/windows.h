#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <distill/io/json_value.h>
#include <distill/models/causal_lm.h>

namespace distill::models::decoder {

/// How far each layer sees: 0 all, else a window of that many newest tokens.
using Windows = std::vector<std::int64_t>;

/// As Qwen's configs say it: `use_sliding_window`, `sliding_window` and either `layer_types` or
/// `max_window_layers`. Throws FormatError and UnsupportedError for settings that contradict each
/// other.
Windows read_windows(const io::JsonCursor& json, std::int64_t num_layers);

/// The keys that speak of single layers, for the layers that were kept.
std::vector<ConfigChange> window_changes(const io::JsonCursor& json, const Windows& windows,
                                         std::span<const std::int64_t> kept);

}  // namespace distill::models::decoder
