#include <distill/commands/inspect.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>

#include "commands/inspect_kinds.h"

namespace distill::commands {

namespace fs = std::filesystem;

Inspection inspect(const InspectOptions& options) {
  const fs::path& path = options.path;
  if (!core::path_exists(path)) fail<InputError>(path.string(), ": no such file or folder");
  if (core::is_folder(path)) {
    if (core::path_exists(path / "config.json")) return inspect_model_folder(options);
    if (core::path_exists(path / "recipe.yaml")) return inspect_run_folder(options);
    fail<InputError>(path.string(),
                     ": holds neither config.json (a model) nor recipe.yaml (a run)");
  }
  if (path.extension() == ".safetensors") return inspect_safetensors_file(options);
  if (path.extension() == ".jsonl") return inspect_data_file(options);
  fail<InputError>(path.string(),
                   ": expected a model folder, a run folder, a .safetensors or a .jsonl file");
}

}  // namespace distill::commands
