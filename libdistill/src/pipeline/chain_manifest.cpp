#include "pipeline/chain_manifest.h"

#include <algorithm>
#include <limits>
#include <set>

#include <torch/version.h>

#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/paths.h>
#include <distill/io/json_value.h>

#include "pipeline/code_version.h"

namespace distill::pipeline {

namespace {

constexpr std::int64_t kFormatVersion = 1;
/// Operations would not fit the integers of JSON.
constexpr double kTera = 1e12;

void write(core::JsonWriter& json, const char* name, const std::vector<FileRecord>& files) {
  json.key(name).begin_array();
  for (const FileRecord& file : files) {
    json.begin_object()
        .member("path", file.path)
        .member("size", file.size)
        .member("changed", file.changed)
        .member("recorded", file.recorded)
        .member("inode", file.inode)
        .member("hash", file.hash)
        .end_object();
  }
  json.end_array();
}

std::vector<FileRecord> files(const io::JsonCursor& stage, const char* name) {
  std::vector<FileRecord> records;
  const io::JsonCursor list = stage.at(name);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const io::JsonCursor file = list.at(i);
    const auto size = file.at("size").int_in(0, std::numeric_limits<std::int64_t>::max());
    records.push_back({file.at("path").as_string(), static_cast<std::uint64_t>(size),
                       file.at("changed").as_int(), file.at("hash").as_string(),
                       file.int_or("recorded", 0), file.int_or("inode", 0)});
  }
  return records;
}

void write(core::JsonWriter& json, const char* name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const auto& text : texts) json.value(text);
  json.end_array();
}

void write(core::JsonWriter& json, const StageRecord& stage) {
  json.begin_object()
      .member("name", stage.name)
      .member("kind", stage.kind)
      .member("done", stage.done)
      .member("settings", stage.settings)
      .member("version", stage.version)
      .member("student", stage.student)
      .member("teacher", stage.teacher)
      .member("seconds", stage.seconds)
      .member("teraflop", stage.work / kTera);
  if (stage.attempt > 1) {
    json.member("attempt", stage.attempt).member("attempt_settings", stage.attempt_settings);
    write(json, "set", stage.set);
  }
  write(json, "from", stage.from);
  write(json, "inputs", stage.inputs);
  write(json, "outputs", stage.outputs);
  json.end_object();
}

std::vector<std::string> texts(const io::JsonCursor& list) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < list.size(); ++i) all.push_back(list.at(i).as_string());
  return all;
}

StageRecord read_stage(const io::JsonCursor& cursor) {
  StageRecord stage;
  stage.name = cursor.at("name").as_string();
  stage.kind = cursor.at("kind").as_string();
  stage.done = cursor.at("done").as_bool();
  stage.settings = cursor.at("settings").as_string();
  stage.version = cursor.at("version").as_string();
  stage.student = cursor.at("student").as_string();
  stage.teacher = cursor.at("teacher").as_string();
  stage.seconds = cursor.at("seconds").as_double();
  stage.work = cursor.at("teraflop").as_double() * kTera;
  stage.from = texts(cursor.at("from"));
  stage.attempt = cursor.int_or("attempt", 1);
  stage.attempt_settings = cursor.string_or("attempt_settings", "");
  if (cursor.has("set")) stage.set = texts(cursor.at("set"));
  stage.inputs = files(cursor, "inputs");
  stage.outputs = files(cursor, "outputs");
  return stage;
}

/// The stage and all that it depends on, in the order of the manifest.
std::vector<const StageRecord*> ancestors(const ChainManifest& manifest, const std::string& name) {
  std::set<std::string> wanted = {name};
  std::vector<const StageRecord*> found;
  for (auto stage = manifest.stages.rbegin(); stage != manifest.stages.rend(); ++stage) {
    if (!wanted.contains(stage->name)) continue;
    wanted.insert(stage->from.begin(), stage->from.end());
    found.push_back(&*stage);
  }
  std::ranges::reverse(found);
  return found;
}

void write_lineage(core::JsonWriter& json, const ChainManifest& manifest, const std::string& name) {
  json.begin_array();
  for (const StageRecord* stage : ancestors(manifest, name)) {
    json.begin_object().member("stage", stage->name).member("kind", stage->kind);
    if (!stage->student.empty()) json.member("student", stage->student);
    if (!stage->teacher.empty()) json.member("teacher", stage->teacher);
    write(json, "from", stage->from);
    const bool is_first = stage->attempt_settings.empty();
    json.member("recipe", is_first ? stage->settings : stage->attempt_settings);
    if (stage->attempt > 1) {
      json.member("attempt", stage->attempt);
      write(json, "set", stage->set);
    }
    json.member("version", stage->version);
    json.key("inputs").begin_object();
    for (const FileRecord& file : stage->inputs) json.member(file.path, file.hash);
    json.end_object().key("outputs").begin_object();
    for (const FileRecord& file : stage->outputs) json.member(file.path, file.hash);
    json.end_object().end_object();
  }
  json.end_array();
}

}  // namespace

const StageRecord* ChainManifest::find(const std::string& stage) const {
  const auto found = std::ranges::find(stages, stage, &StageRecord::name);
  return found == stages.end() ? nullptr : &*found;
}

StageRecord& ChainManifest::at(const std::string& stage) {
  const auto found = std::ranges::find(stages, stage, &StageRecord::name);
  if (found != stages.end()) return *found;
  stages.push_back({.name = stage});
  return stages.back();
}

ChainManifest read_chain_manifest(const std::filesystem::path& path) {
  ChainManifest manifest;
  if (!core::path_exists(path)) return manifest;
  const io::JsonValue value = io::read_json_file(path);
  const io::JsonCursor root(value, path.string());
  root.at("format_version").int_in(kFormatVersion, kFormatVersion);
  manifest.name = root.at("name").as_string();
  const io::JsonCursor stages = root.at("stages");
  for (std::size_t i = 0; i < stages.size(); ++i) {
    manifest.stages.push_back(read_stage(stages.at(i)));
  }
  return manifest;
}

void write_chain_manifest(const std::filesystem::path& path, const ChainManifest& manifest,
                          const recipe::PipelineRecipe& recipe) {
  core::JsonWriter json(2);
  json.begin_object().member("format_version", kFormatVersion).member("name", recipe.name);
  json.key("versions")
      .begin_object()
      .member("distill", code_version())
      .member("libtorch", TORCH_VERSION)
      .end_object();
  // In the order of the recipe; what is in it no more goes.
  ChainManifest ordered;
  for (const recipe::Stage& stage : recipe.stages) {
    if (const StageRecord* record = manifest.find(stage.name)) ordered.stages.push_back(*record);
  }
  json.key("stages").begin_array();
  for (const StageRecord& stage : ordered.stages) write(json, stage);
  json.end_array();
  const recipe::Stage* last = recipe.final_stage();
  const StageRecord* final_record = last == nullptr ? nullptr : ordered.find(last->name);
  if (final_record != nullptr && final_record->done) {
    json.key("final")
        .begin_object()
        .member("stage", last->name)
        .member("path", last->output().string());
    json.key("lineage");
    write_lineage(json, ordered, last->name);
    json.end_object();
  }
  json.end_object();
  core::write_file_atomically(path, json.text() + "\n");
}

std::string lineage_json(const ChainManifest& manifest, const std::string& stage) {
  core::JsonWriter json(2);
  json.begin_object().member("format_version", kFormatVersion).member("stage", stage);
  json.key("lineage");
  write_lineage(json, manifest, stage);
  json.end_object();
  return json.text() + "\n";
}

}  // namespace distill::pipeline
