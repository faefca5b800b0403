#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <distill/models/causal_lm.h>
#include <distill/models/load.h>

/// Adapter folders as Hugging Face PEFT has them: adapter_config.json and
/// adapter_model.safetensors. docs/formats/adapter.md.
namespace distill::lora {

/// What an adapter was trained on.
struct Base {
  std::filesystem::path folder;
  std::string fingerprint;  ///< models::fingerprint of the folder
};

/// Writes the adapters of `model`; the folder appears whole or not at all. PiSSA's are written as
/// the change of the whole base, with twice the rank. Throws InputError when `folder` exists.
void save_adapter(models::CausalLm& model, const std::filesystem::path& folder, const Base& base);

/// What adapter_config.json says, checked.
struct AdapterConfig {
  std::string base_model;      ///< as it was written; may be empty
  nn::AdapterOptions options;  ///< of all but the patterns
  std::string fingerprint;     ///< of the base; empty when the file does not say
  std::int64_t num_tensors = 0;
  std::int64_t num_parameters = 0;
  models::AdapterChoice choice;  ///< of the tensors that are there
};

/// Reads config and header. Throws FormatError and UnsupportedError naming file and key for
/// settings that are damaged or change the mathematics in a way this library does not do.
AdapterConfig read_adapter_config(const std::filesystem::path& folder);

/// Throws FormatError for the first tensor that holds NaN or Inf.
void check_values(const std::filesystem::path& folder);

struct AdapterLoadOptions {
  /// Take an adapter whose file names another base: shapes must still fit.
  bool any_base = false;
  /// The adapter may be trained further: its tensors are copies that want gradients.
  bool trainable = false;
};

/// load_causal_lm of the base with the adapter on it. Throws, beside what that throws, InputError
/// when the adapter was trained on another base, FormatError for tensors that are missing, surplus,
/// of another shape, or hold NaN or Inf.
std::shared_ptr<models::CausalLm> load_with_adapter(const std::filesystem::path& base,
                                                    const std::filesystem::path& adapter,
                                                    models::LoadOptions load,
                                                    const AdapterLoadOptions& options = {});

}  // namespace distill::lora
