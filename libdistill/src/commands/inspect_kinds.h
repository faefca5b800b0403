#pragma once

#include <filesystem>
#include <string>

#include <distill/commands/inspect.h>
#include <distill/core/error.h>

/// One function per kind of thing `inspect` knows.
namespace distill::commands {

Inspection inspect_model_folder(const InspectOptions& options);
Inspection inspect_safetensors_file(const InspectOptions& options);
Inspection inspect_data_file(const InspectOptions& options);
Inspection inspect_adapter_folder(const InspectOptions& options);
Inspection inspect_logit_cache(const InspectOptions& options);
Inspection inspect_run_folder(const InspectOptions& options);
bool is_pipeline_folder(const std::filesystem::path& path);
Inspection inspect_pipeline_folder(const InspectOptions& options);

/// Adds the reason that stopped.json gives.
void describe_stop(const std::filesystem::path& stopped, Inspection& inspection);

/// Runs `part`; what it throws becomes a problem of `inspection`.
template <class Part>
void collect_problem(Inspection& inspection, Part&& part) {
  try {
    part();
  } catch (const Error& error) {
    inspection.problems.emplace_back(error.what());
  }
}

}  // namespace distill::commands
