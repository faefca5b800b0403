#include <distill/commands/inspect.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/data/data_path.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace fs = std::filesystem;

Inspection inspect(const InspectOptions& options) {
  const fs::path& path = options.path;
  if (!core::path_exists(path)) fail<InputError>(path.string(), ": no such file or folder");
  if (core::is_folder(path)) {
    if (core::path_exists(path / "config.json")) return inspect_model_folder(options);
    if (core::path_exists(path / "adapter_config.json")) return inspect_adapter_folder(options);
    for (const auto* name : {"cache.json", "capture.json"}) {
      if (core::path_exists(path / name)) return inspect_logit_cache(options);
    }
    if (is_pipeline_folder(path)) return inspect_pipeline_folder(options);
    if (core::path_exists(path / "recipe.yaml")) return inspect_run_folder(options);
    for (const auto& file : core::list_folder(path)) {
      if (data::is_data_name(file)) return inspect_data_file(options);
    }
    fail<InputError>(path.string(),
                     ": holds no config.json (a model), adapter_config.json (an adapter), "
                     "cache.json (a cache) or "
                     "recipe.yaml (a run), and no data");
  }
  if (path.extension() == ".safetensors") return inspect_safetensors_file(options);
  if (data::is_data_name(path)) return inspect_data_file(options);
  fail<InputError>(
      path.string(),
      ": expected a model, adapter, cache or run folder, a .safetensors file, or data: a "
      ".jsonl, .jsonl.gz or .jsonl.zst file, or a folder of them");
}

}  // namespace distill::commands
