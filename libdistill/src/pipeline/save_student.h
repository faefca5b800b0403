#pragma once

#include <filesystem>
#include <string>

#include <distill/core/log.h>
#include <distill/models/causal_lm.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// Writes a model folder, or an adapter folder beside the base that stays where it is. What an
/// earlier process left there goes first. `base_fingerprint`: of the base, as it was loaded.
void save_student(models::CausalLm& student, const recipe::PlannedModels& plan,
                  const std::string& base_fingerprint, const std::filesystem::path& folder,
                  core::Logger& log);

}  // namespace distill::pipeline
