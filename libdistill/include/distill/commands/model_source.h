#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include <c10/core/ScalarType.h>

#include <distill/core/log.h>
#include <distill/lora/adapter_source.h>
#include <distill/models/causal_lm.h>
#include <distill/ops/quantized_matrix.h>
#include <distill/recipe/options.h>

namespace distill::commands {

using lora::AdapterSource;

/// A model as a command is told of it, and where it runs.
struct ModelSource {
  std::filesystem::path model = {};
  AdapterSource adapter = {};
  c10::ScalarType dtype = c10::ScalarType::BFloat16;  ///< of weights and activations
  /// Hold the projections in few bits, as models::LoadOptions::quantize.
  std::optional<ops::WeightFormat> quantize = {};
  /// Bytes that weights may take, as in models::LoadOptions.
  std::optional<std::uint64_t> available_memory = {};
  recipe::Device device = recipe::Device::kAuto;
};

/// Throws as lora::load_model and recipe::choose_device do.
std::shared_ptr<models::CausalLm> load_model(const ModelSource& source, core::Logger& log);

}  // namespace distill::commands
