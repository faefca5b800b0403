#pragma once

#include <cstddef>
#include <filesystem>

#include <distill/io/safetensors.h>

/// Names inside an adapter folder; the first four are PEFT's.
namespace distill::lora {

inline constexpr const char* kAdapterConfig = "adapter_config.json";
inline constexpr const char* kAdapterTensors = "adapter_model.safetensors";
/// A copy of the embedding, which PEFT adds when the embedding has an adapter.
inline constexpr const char* kBaseLayer = ".base_layer.weight";
/// Of the tensor file's metadata. Part of the format, do not change.
inline constexpr const char* kBaseFingerprint = "base_fingerprint";

/// Of the name of a tensor, in messages: real ones are that long.
inline constexpr std::size_t kShownName = 160;

/// Throws UnsupportedError for pickled tensors.
io::SafetensorsFile open_adapter_tensors(const std::filesystem::path& folder);

}  // namespace distill::lora
