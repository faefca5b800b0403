#pragma once

#include <filesystem>
#include <string>

#include <distill/core/log.h>
#include <distill/models/causal_lm.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// Writes the student to `folder` in place of what is there: a model folder, or an adapter folder
/// beside the base that stays where it is. `base_fingerprint`: of the base as it was loaded; of
/// adapters alone.
void save_final_model(models::CausalLm& student, const recipe::PlannedModels& plan,
                      const std::string& base_fingerprint, const std::filesystem::path& folder,
                      core::Logger& log);

}  // namespace distill::pipeline
