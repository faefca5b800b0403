#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include <c10/core/ScalarType.h>

#include <distill/core/log.h>
#include <distill/models/causal_lm.h>
#include <distill/models/load.h>
#include <distill/ops/quantized_matrix.h>
#include <distill/recipe/options.h>

namespace distill::commands {

/// An adapter folder beside a model folder.
struct AdapterSource {
  std::filesystem::path folder;  ///< empty: none
  bool any_base = false;         ///< take it though it names another base
};

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

/// The model, with the adapter on it if there is one. Throws as load_causal_lm and
/// lora::load_with_adapter do.
std::shared_ptr<models::CausalLm> load_model(const std::filesystem::path& model,
                                             const AdapterSource& adapter,
                                             const models::LoadOptions& options);
/// The same of all that `source` says; also throws as recipe::choose_device does.
std::shared_ptr<models::CausalLm> load_model(const ModelSource& source, core::Logger& log);

}  // namespace distill::commands
