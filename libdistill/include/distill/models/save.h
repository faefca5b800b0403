#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <c10/core/ScalarType.h>

#include <distill/models/causal_lm.h>

namespace distill::models {

struct SaveOptions {
  /// The folder whose config, tokenizer files and generation config belong to the model.
  std::filesystem::path base_folder = {};
  std::optional<c10::ScalarType> dtype = {};  ///< as the model's parameters when absent
  std::uint64_t max_shard_bytes = std::uint64_t{5} << 30;
  bool replace = false;  ///< a folder that is there goes when the new one is whole
};

/// Writes a Hugging Face folder that transformers opens as it is: config.json (num_hidden_layers,
/// dtype updated), safetensors, tokenizer and generation files of `base_folder`. The folder appears
/// whole or not at all. Throws IoError when the disk is full, InputError when `folder`
/// exists and is not to be replaced, UnsupportedError for a model with quantised weights.
void save_causal_lm(const CausalLm& model, const std::filesystem::path& folder,
                    const SaveOptions& options);

}  // namespace distill::models
