#include <distill/pipeline/manifest.h>

#include <map>
#include <set>

#include <torch/version.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/hash.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>

#include "pipeline/code_version.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kFormatVersion = 1;

void write_model(core::JsonWriter& json, const char* name, const recipe::ModelFacts& model,
                 const std::function<void()>& check) {
  json.key(name).begin_object().member("path", model.folder.string());
  json.key("layers").begin_array();
  for (const std::int64_t layer : model.layers) json.value(layer);
  json.end_array().key("files").begin_object();
  std::set<fs::path> files = {model.folder / "config.json"};
  const auto weights = io::SafetensorsFolder::open(model.folder);
  for (const auto& file : weights.files()) files.insert(file->path());
  for (const auto& file : files)
    json.member(file.filename().string(), core::hash_file(file, check));
  json.end_object().end_object();
}

void write_data(core::JsonWriter& json, const char* name, const data::Dataset& dataset) {
  json.key(name)
      .begin_object()
      .member("rows", dataset.num_rows())
      .member("tokens", dataset.num_tokens())
      .member("fingerprint", dataset.fingerprint());
  json.key("files").begin_object();
  std::set<std::string> seen;
  for (const auto& file : dataset.report().files) {
    if (seen.insert(file.path).second) json.member(file.path, file.content_hash);
  }
  json.end_object().end_object();
}

void write_set(core::JsonWriter& json, const recipe::NamedSet& set) {
  json.key("set " + set.options.name)
      .begin_object()
      .member("rows", set.student.num_rows())
      .member("fingerprint", set.student.fingerprint())
      .end_object();
}

using Leaves = std::map<std::string, std::string>;

/// Scalars by dotted path.
void collect(const io::JsonValue& value, const std::string& path, Leaves& leaves) {
  if (value.is_object()) {
    for (const auto& [name, member] : std::get<io::JsonObject>(value.storage()).members()) {
      collect(member, path.empty() ? name : path + "." + name, leaves);
    }
  } else if (value.is_array()) {
    std::size_t i = 0;
    for (const auto& item : std::get<io::JsonArray>(value.storage())) {
      collect(item, core::concat(path, ".", i++), leaves);
    }
  } else if (value.is_string()) {
    leaves[path] = std::get<std::string>(value.storage());
  } else if (value.is_integer()) {
    leaves[path] = std::to_string(std::get<std::int64_t>(value.storage()));
  }
}

bool is_version(const std::string& path) {
  return path.starts_with("versions.");
}

}  // namespace

std::string make_manifest(const recipe::Recipe& recipe, const recipe::PlannedModels& models,
                          const recipe::DataParts& data, std::int64_t steps,
                          const std::function<void()>& between_parts) {
  core::JsonWriter json(2);
  json.begin_object().member("format_version", kFormatVersion);
  json.key("versions")
      .begin_object()
      .member("distill", code_version())
      .member("libtorch", TORCH_VERSION)
      .end_object();
  json.member("name", recipe.name).member("seed", recipe.seed).member("steps", steps);
  write_model(json, "student", models.student, between_parts);
  if (models.teacher) write_model(json, "teacher", *models.teacher, between_parts);
  for (std::size_t i = 0; i < models.several.size(); ++i) {
    write_model(json, core::concat("teacher_", i).c_str(), models.several[i], between_parts);
  }
  if (models.cache) {
    json.key("teacher_cache")
        .begin_object()
        .member("path", models.cache->folder.string())
        .member("hash", models.cache->hash)
        .end_object();
  }
  json.key("tokenizer")
      .begin_object()
      .member("path", models.student.folder.string())
      .member("fingerprint", data.tokenizer->fingerprint())
      .end_object();
  json.key("data").begin_object();
  write_data(json, "train", *data.train);
  if (data.with_replay) write_data(json, "with_replay", *data.with_replay);
  if (data.eval) write_data(json, "eval", *data.eval);
  for (const auto& set : data.sets) write_set(json, set);
  json.end_object().end_object();
  return json.text() + "\n";
}

void write_or_check_manifest(const fs::path& path, const std::string& manifest, core::Logger& log) {
  if (!core::path_exists(path)) return core::write_file_atomically(path, manifest);
  Leaves before;
  Leaves now;
  collect(io::read_json_file(path), "", before);
  collect(io::parse_json(manifest, "manifest"), "", now);
  for (const auto& [name, value] : before) now.try_emplace(name, "gone");
  std::string changed;
  for (const auto& [name, value] : now) {
    const auto old = before.find(name);
    const std::string old_value = old == before.end() ? "not there" : old->second;
    if (old_value == value) continue;
    const std::string what =
        core::concat("`", core::printable(name, 100), "` was ", core::printable(old_value),
                     ", it is ", core::printable(value));
    if (is_version(name)) {
      log.warning(path.string(), ": ", what, " now; the numbers may differ slightly from here on");
    } else {
      changed += core::concat("\n", path.string(), ": ", what, " now");
    }
  }
  if (changed.empty()) return;
  throw ConfigError(core::concat(path.string(),
                                 ": what the run is made from has changed since it began; bring "
                                 "it back, or add --restart to begin again",
                                 changed));
}

}  // namespace distill::pipeline
