#include <distill/models/outline.h>

#include <distill/core/files.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>

#include "models/companions.h"
#include "models/families.h"
#include "models/saved_config.h"

namespace distill::models {

namespace fs = std::filesystem;

void write_outline(const fs::path& base, std::span<const std::int64_t> keep_layers,
                   c10::ScalarType dtype, const fs::path& folder) {
  const fs::path path = base / "config.json";
  const io::JsonValue json = io::read_json_file(path);
  const io::JsonCursor config(json, path.string());
  const EmptyModel model = find_family(config).build(config, keep_layers);
  std::vector<io::TensorSpec> specs;
  for (const bool buffers : {false, true}) {  // in the order of a saved file
    for (const ParameterSlot& slot : model.slots) {
      if (slot.buffer != buffers) continue;
      specs.push_back({slot.name(), buffers ? c10::ScalarType::Float : dtype, slot.shape});
    }
  }
  core::write_file_atomically(folder / "config.json", saved_config(path, *model.model, dtype));
  copy_companions(base, folder);
  io::write_safetensors_outline(folder / "model.safetensors", specs, {{"format", "pt"}});
}

}  // namespace distill::models
