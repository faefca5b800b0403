#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include <c10/core/ScalarType.h>

namespace distill::models {

/// Writes into `folder` what save_causal_lm would write of the model of these layers of `base`
/// (empty: all), but for the values of its weights, which are zeros that take no room on the disk:
/// for planning with a model that is not there yet. No weight of `base` need be there. Throws as
/// describe_causal_lm does, and IoError.
void write_outline(const std::filesystem::path& base, std::span<const std::int64_t> keep_layers,
                   c10::ScalarType dtype, const std::filesystem::path& folder);

/// All files that make a model what it is: config, weights, tokenizer and its companions. Throws as
/// io::SafetensorsFolder::open does.
std::vector<std::filesystem::path> model_files(const std::filesystem::path& folder);

}  // namespace distill::models
