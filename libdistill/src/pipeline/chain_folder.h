#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <distill/core/files.h>
#include <distill/core/log.h>
#include <distill/pipeline/run_folder.h>

namespace distill::pipeline {

/// The folder of a pipeline, held by this process alone; docs/formats/run_folder.md. Nothing is
/// changed in a folder that holds something else.
class ChainFolder {
 public:
  /// Makes or takes over `path`. Throws InputError when it holds something else, when there is
  /// nothing to resume, and when another process uses it.
  ChainFolder(const std::filesystem::path& path, StartPolicy policy, core::Logger& log);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path recipe() const { return path_ / "recipe.yaml"; }
  std::filesystem::path manifest() const { return path_ / "manifest.json"; }
  std::filesystem::path report() const { return path_ / "report.json"; }
  /// Instead of report(), where a stage did not end.
  std::filesystem::path stopped_report() const { return path_ / "stopped.json"; }
  std::filesystem::path final_model() const { return path_ / "final"; }

  /// What a process that was killed left in the folder of a stage, which is this process's alone.
  void remove_leftovers(const std::filesystem::path& stage) const;
  void store_recipe(const std::string& text) const;
  /// And the page that says why.
  void remove_stopped_report() const;
  /// `final` leads to what a stage made, by a relative link: it takes no room, and the folder can
  /// be moved as a whole.
  void link_final(const std::filesystem::path& result) const;

 private:
  std::filesystem::path path_;
  std::unique_ptr<core::FolderLock> lock_;
};

/// Throws InputError for a folder that holds something else than a pipeline; it need not be there.
void require_pipeline_or_nothing(const std::filesystem::path& folder);

/// The resolved recipe of the pipeline in a folder, without its first line; empty: there is none.
std::string stored_pipeline(const std::filesystem::path& folder);

}  // namespace distill::pipeline
