#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include <distill/core/log.h>
#include <distill/recipe/wiring.h>

namespace distill::pipeline {

/// manifest.json: versions, seed, and hashes of everything a run is made from. `between_parts` is
/// called often; what it throws ends the hashing.
std::string make_manifest(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                          const recipe::DataParts& data, std::int64_t steps,
                          const std::function<void()>& between_parts = {});

/// Writes it into a new run folder. In a resumed one, compares: throws ConfigError naming what has
/// changed since the run began, warns when only versions differ.
void write_or_check_manifest(const std::filesystem::path& path, const std::string& manifest,
                             core::Logger& log);

}  // namespace distill::pipeline
