#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <distill/models/causal_lm.h>
#include <distill/recipe/options.h>

namespace distill::recipe {

/// What a model folder holds, from its config alone: no weight is read.
struct ModelFacts {
  struct Parameter {
    std::string name;
    std::int64_t numel = 0;
    std::size_t dimensions = 0;
    bool idle = false;  ///< of an expert beyond the number that a token passes
  };
  std::filesystem::path folder;
  std::vector<std::int64_t> layers;  ///< of the folder, in the model's order
  std::int64_t folder_layers = 0;
  std::int64_t hidden_size = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_positions = 0;
  std::vector<Parameter> parameters;  ///< of the kept layers, under the names they will have
  std::vector<models::AdapterSite> adapter_sites;
  std::int64_t num_parameters = 0;
  std::int64_t num_active_parameters = 0;  ///< those that one token passes
  /// Numbers that a backward pass needs of each token, of all layers and of the largest one.
  std::uint64_t layer_values = 0;
  std::uint64_t largest_layer_values = 0;
};

/// `keep`: null for all layers. Throws InputError and its children naming the file, ConfigError
/// when the layers to keep are not there.
ModelFacts read_model_facts(const std::filesystem::path& folder, const KeepLayers* keep);

/// Which names match one of the patterns (`*` stands for any text). Throws ConfigError when a
/// pattern matches nothing, listing some names.
std::vector<bool> match_frozen(const std::vector<std::string>& names,
                               const std::vector<std::string>& patterns);

}  // namespace distill::recipe
