#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <distill/io/safetensors.h>

#include "models/families.h"

namespace distill::models {

/// Where the weights of one slot are.
struct MatchedWeight {
  const ParameterSlot* slot;
  io::SafetensorsFolder::Location source;
  std::optional<io::SafetensorsFolder::Location> scale;  ///< of each block, for 8-bit weights
};

/// Finds every slot's tensor by name and shape, before anything is allocated. Throws FormatError
/// with one line that groups what is missing, surplus or misshaped, UnsupportedError for a dtype
/// that holds no floating-point weights.
std::vector<MatchedWeight> match_weights(const EmptyModel& model,
                                         const io::SafetensorsFolder& weights,
                                         const std::filesystem::path& folder);

/// What the tensor of this name belongs to when the model leaves it out on purpose, else null.
const SkippedWeights* skipped_by(const EmptyModel& model, const std::string& name);

/// A file may hold a tied head as well, when it is the embedding. Throws FormatError when they
/// differ.
void check_tied_head(const EmptyModel& model, const io::SafetensorsFolder& weights);

}  // namespace distill::models
