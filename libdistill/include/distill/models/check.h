#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <distill/io/safetensors.h>
#include <distill/models/causal_lm.h>
#include <distill/models/load.h>

/// What can be said about a model folder without loading it.
namespace distill::models {

/// config.json alone: a family that is known, with settings that are supported. Throws as
/// load_causal_lm does.
void check_config(const std::filesystem::path& folder);

/// A parameter that is not loaded.
struct ParameterShape {
  std::string name;  ///< as CausalLm::parameters names it
  std::vector<std::int64_t> shape;
  bool idle = false;  ///< of an expert beyond the number that a token passes
};

/// What config.json alone says of a model.
struct ModelDescription {
  std::string family;  ///< `model_type`
  ModelShape shape;
  std::vector<ParameterShape> parameters;
  std::vector<AdapterSite> adapter_sites;
  std::int64_t source_layers = 0;  ///< layers of the folder; shape.num_layers are kept
};

/// The model of the layers to keep (empty: all), from config.json alone: no weight need be there.
/// Throws as load_causal_lm does.
ModelDescription describe_causal_lm(const std::filesystem::path& folder,
                                    std::span<const std::int64_t> keep_layers);

/// All that load_causal_lm checks before it reads a weight: the config, and the name, shape and
/// dtype of every tensor of the layers to keep (empty: all). Throws as it does.
void check_causal_lm(const std::filesystem::path& folder,
                     std::span<const std::int64_t> keep_layers);

/// What the weights of a loaded model take.
struct WeightBytes {
  std::uint64_t allocated = 0;
  std::uint64_t mapped = 0;  ///< used where the files are mapped; the system may drop such pages
};

/// Of the model that load_causal_lm would give, from config and headers. Throws as
/// check_causal_lm does.
WeightBytes weight_bytes(const std::filesystem::path& folder, const LoadOptions& options);

/// A stored copy of a tied head must equal the embedding: reads both. Throws as load_causal_lm
/// does.
void check_tied_head(const std::filesystem::path& folder);

/// A line for each tensor that holds NaN or Inf. Looks at one after the other, as it is stored;
/// types other than fp32, bf16, fp16 and fp64 are passed over.
std::vector<std::string> value_problems(const io::SafetensorsFile& file);

}  // namespace distill::models
