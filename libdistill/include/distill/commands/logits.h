#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <c10/core/ScalarType.h>

#include <distill/commands/model_source.h>
#include <distill/core/log.h>
#include <distill/ops/quantized_matrix.h>
#include <distill/recipe/options.h>

namespace distill::commands {

struct LogitsOptions {
  std::filesystem::path model;
  AdapterSource adapter;
  std::filesystem::path ids;  ///< one sequence of ids a line, separated by spaces
  std::filesystem::path
      out;  ///< safetensors: logits_0, logits_1, ... float32 [sequence, vocabulary]
  c10::ScalarType dtype = c10::ScalarType::Float;  ///< of weights and activations
  /// Bytes that weights may take, as in models::LoadOptions.
  std::optional<std::uint64_t> available_memory = {};
  /// Hold the projections in few bits, as models::LoadOptions::quantize.
  std::optional<ops::WeightFormat> quantize = {};
  recipe::Device device = recipe::Device::kAuto;  ///< where the model runs
};

/// Throws InputError naming FILE:LINE for a bad id. `out` appears whole or not at all.
void write_logits(const LogitsOptions& options, core::Logger& log);

}  // namespace distill::commands
