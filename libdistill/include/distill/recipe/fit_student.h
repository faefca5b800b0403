#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <distill/models/fit_layers.h>
#include <distill/recipe/wiring.h>

namespace distill::recipe {

/// Throws ConfigError for a student none of whose layers can be fitted, and where weights that a
/// fit changes are frozen: checkpoints do not hold those.
void check_fit(const Recipe& recipe, const ModelFacts& student);

/// The start of `student.init.fit`: changes the student, and what its optimizer holds of it, on the
/// rows spread over what training reads. Nothing is done, and nothing returned, without `fit`.
/// Takes the teacher in memory where the layers are its own, else loads the model they are from,
/// and drops it again. For a run that begins; one that goes on has its weights in a checkpoint.
/// `between_pieces`: called often; what it throws ends the fit. Throws ConfigError for a student
/// that cannot be fitted, and what loading a model does.
std::vector<models::LayerFit> fit_student(const Recipe& recipe, const PlannedModels& models,
                                          const DataParts& data, ModelParts& parts,
                                          core::Logger& log,
                                          std::optional<std::uint64_t> available_memory = {},
                                          const std::function<void()>& between_pieces = {});

/// Bytes that it needs at once beside the weights that a run has in memory.
std::uint64_t fit_bytes(const Recipe& recipe, const PlannedModels& models);

}  // namespace distill::recipe
