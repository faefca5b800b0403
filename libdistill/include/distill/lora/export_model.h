#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <c10/core/ScalarType.h>

#include <distill/core/log.h>
#include <distill/lora/adapter_source.h>

namespace distill::lora {

struct ExportOptions {
  std::filesystem::path model;
  AdapterSource adapter;      ///< merged into the weights
  std::filesystem::path out;  ///< must not exist, unless `force`
  /// Replace `out` when it is a model folder; anything else there is refused all the same.
  bool force = false;
  /// As the weights are stored when absent; 8-bit weights become bfloat16.
  std::optional<c10::ScalarType> dtype = {};
  std::uint64_t max_shard_bytes = 5'000'000'000;
  /// Bytes that weights may take, as in models::LoadOptions.
  std::optional<std::uint64_t> available_memory = {};
};

/// What an export computes with and writes.
struct ExportDtypes {
  c10::ScalarType held = c10::ScalarType::Float;  ///< of the weights as they are loaded
  c10::ScalarType written = c10::ScalarType::Float;
};
/// From the headers of the model's weights. Throws ConfigError when they are stored in types of
/// which none can be kept.
ExportDtypes export_dtypes(const ExportOptions& options);

/// Writes a model folder anew: checked, in another dtype or in shards of another size, without what
/// the model does not use. Weights that keep their dtype keep every byte. `out` appears whole or
/// not at all. An adapter is merged: the folder is a plain model then. Throws as load_causal_lm and
/// save_causal_lm do, and ConfigError when weights are stored in types of which none can be kept.
void export_model(const ExportOptions& options, core::Logger& log);

}  // namespace distill::lora
