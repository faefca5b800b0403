#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <distill/io/json_value.h>
#include <distill/models/causal_lm.h>

#include "models/fp8_config.h"
#include "models/parameter_slot.h"

namespace distill::models {

/// Weights that files may hold but the model does not use.
struct SkippedWeights {
  std::string prefix;  ///< of their names
  std::string what;    ///< for people
};

/// A model that has every shape but no weights yet.
struct EmptyModel {
  std::shared_ptr<CausalLm> model;
  std::vector<ParameterSlot> slots;         ///< of the kept layers; point into `model`
  std::vector<std::int64_t> source_layers;  ///< the folder's layer that each kept layer comes from
  std::vector<std::string> names_left_out;  ///< weights of the folder's other layers
  std::vector<SkippedWeights> skipped;
  std::optional<Fp8Block> fp8_block;  ///< matrices may be stored so
  /// Of the model: set when its weights are quantised.
  std::optional<Quantization>* quantization = nullptr;
  /// Empty, or the name of a head that is the embedding: a file may hold it as well.
  std::string tied_head;
  std::string tied_to;
};

/// One line of the list of architectures.
struct Family {
  std::string_view model_type;    ///< of config.json
  std::string_view architecture;  ///< the only entry of `architectures` that is taken
  /// Reads the config strictly and builds the model from `keep_layers` (empty: all).
  EmptyModel (*build)(const io::JsonCursor& config, std::span<const std::int64_t> keep_layers);
};

/// Every architecture that can be loaded.
std::span<const Family> families();

/// The family that config.json names. Throws FormatError when it names none, UnsupportedError when
/// it names one that is not in the list.
const Family& find_family(const io::JsonCursor& config);

/// `keep_layers`, or all of `num_layers` when empty. Throws ConfigError for a layer that is not
/// there or is named twice.
std::vector<std::int64_t> resolve_layers(std::span<const std::int64_t> keep_layers,
                                         std::int64_t num_layers, const std::string& source);

}  // namespace distill::models
