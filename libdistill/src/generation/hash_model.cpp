#include "generation/hash_model.h"

#include <set>

#include <distill/core/hash.h>
#include <distill/core/strings.h>
#include <distill/io/safetensors.h>

namespace distill::generation {

namespace fs = std::filesystem;

std::string hash_model(const fs::path& folder, const text::Tokenizer& tokenizer) {
  std::set<fs::path> files = {folder / "config.json"};
  const auto weights = io::SafetensorsFolder::open(folder);
  for (const auto& file : weights.files()) files.insert(file->path());
  std::string all = tokenizer.fingerprint();
  for (const auto& file : files) {
    all += core::concat("\n", file.filename().string(), " ", core::hash_file(file));
  }
  return core::hash_text(all);
}

}  // namespace distill::generation
