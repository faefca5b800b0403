#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <distill/io/safetensors.h>

/// What can be said about a model folder without loading it.
namespace distill::models {

/// config.json alone: a family that is known, with settings that are supported. Throws as
/// load_causal_lm does.
void check_config(const std::filesystem::path& folder);

/// All that load_causal_lm checks before it reads a weight: the config, and the name, shape and
/// dtype of every tensor of the layers to keep (empty: all). Throws as it does.
void check_causal_lm(const std::filesystem::path& folder,
                     std::span<const std::int64_t> keep_layers);

/// A stored copy of a tied head must equal the embedding: reads both. Throws as load_causal_lm
/// does.
void check_tied_head(const std::filesystem::path& folder);

/// A line for each tensor that holds NaN or Inf. Looks at one after the other, as it is stored;
/// types other than fp32, bf16, fp16 and fp64 are passed over.
std::vector<std::string> value_problems(const io::SafetensorsFile& file);

}  // namespace distill::models
