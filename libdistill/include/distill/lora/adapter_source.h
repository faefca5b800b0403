#pragma once

#include <filesystem>
#include <memory>

#include <distill/models/causal_lm.h>
#include <distill/models/load.h>

namespace distill::lora {

/// An adapter folder beside a model folder.
struct AdapterSource {
  std::filesystem::path folder;  ///< empty: none
  bool any_base = false;         ///< take it though it names another base
};

/// The model, with the adapter on it if there is one. Throws as load_causal_lm and
/// load_with_adapter do.
std::shared_ptr<models::CausalLm> load_model(const std::filesystem::path& model,
                                             const AdapterSource& adapter,
                                             const models::LoadOptions& options);

}  // namespace distill::lora
