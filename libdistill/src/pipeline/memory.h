#pragma once

#include <cstdint>
#include <optional>

#include <distill/core/log.h>
#include <distill/pipeline/plan.h>
#include <distill/recipe/recipe.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// From configs and headers of the models. `data_tokens`: of all rows held in memory.
MemoryEstimate estimate_memory(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                               std::int64_t data_tokens);

/// Parameters of the student that are trained.
std::int64_t count_trainable(const recipe::Recipe& recipe, const recipe::ModelFacts& student);

/// Throws InputError when what is certain to be allocated is more than `available` (empty: what
/// core::available_memory says), and warns when the estimate of all is.
void require_memory(const MemoryEstimate& memory, std::optional<std::uint64_t> available,
                    core::Logger& log);

}  // namespace distill::pipeline
