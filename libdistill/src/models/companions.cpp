#include "models/companions.h"

#include <array>
#include <string_view>

#include <distill/core/files.h>
#include <distill/core/paths.h>
#include <distill/io/safetensors.h>
#include <distill/models/outline.h>

namespace distill::models {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 9> kCompanions = {
    "tokenizer.json",    "tokenizer_config.json",  "special_tokens_map.json",
    "added_tokens.json", "generation_config.json", "vocab.json",
    "merges.txt",        "tokenizer.model",        "chat_template.jinja"};

}  // namespace

void copy_companions(const fs::path& from, const fs::path& to) {
  for (const std::string_view name : kCompanions) {
    if (!core::path_exists(from / name)) continue;
    core::AtomicFile copy(to / name);
    copy.write(core::MappedFile::open(from / name).bytes());
    copy.commit();
  }
}

std::vector<fs::path> model_files(const fs::path& folder) {
  std::vector<fs::path> files = {folder / "config.json"};
  for (const std::string_view name : kCompanions) {
    if (core::path_exists(folder / name)) files.push_back(folder / name);
  }
  const auto weights = io::SafetensorsFolder::open(folder);
  for (const auto& file : weights.files()) files.push_back(file->path());
  return files;
}

}  // namespace distill::models
