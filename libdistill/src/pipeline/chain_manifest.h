#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <distill/recipe/pipeline_recipe.h>

#include "pipeline/file_hashes.h"

namespace distill::pipeline {

/// What is known of a stage that was begun.
struct StageRecord {
  std::string name;
  std::string kind = {};
  std::string settings = {};  ///< hash of its recipe, and of the settings of the stages it reads
  bool done = false;
  std::string version = {};             ///< of libdistill
  std::string student = {};             ///< what it made its model of: a folder; may be empty
  std::string teacher = {};             ///< who taught, or what was captured or asked; may be empty
  std::vector<std::string> from = {};   ///< stages whose results it read
  std::vector<FileRecord> inputs = {};  ///< files that are of no stage
  std::vector<FileRecord> outputs = {};
  std::int64_t attempt = 1;           ///< that its result is of; more: gates wanted further tries
  std::vector<std::string> set = {};  ///< overrides of that attempt
  /// Hash of the recipe with them, and of the settings of the stages that it reads; empty:
  /// `settings`.
  std::string attempt_settings = {};
  double seconds = 0;  ///< of the last process
  double work = 0;     ///< as StagePlan::work, of what was done in `seconds`; 0: not known
};

/// OUTPUT/manifest.json: which stages were done, from what. docs/formats/run_folder.md.
struct ChainManifest {
  std::string name;
  std::vector<StageRecord> stages;

  const StageRecord* find(const std::string& stage) const;
  /// The record of this stage, made where there is none.
  StageRecord& at(const std::string& stage);
};

/// Empty where there is no such file. Throws FormatError when it is damaged.
ChainManifest read_chain_manifest(const std::filesystem::path& path);
void write_chain_manifest(const std::filesystem::path& path, const ChainManifest& manifest,
                          const recipe::PipelineRecipe& recipe);

/// Where the result of a stage comes from: a step for it and each stage before it that it depends
/// on, in order, with student, teacher, hashes of data and recipe, version of the code.
std::string lineage_json(const ChainManifest& manifest, const std::string& stage);

}  // namespace distill::pipeline
