#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <distill/core/files.h>
#include <distill/core/log.h>

namespace distill::pipeline {

/// What to do with a run folder that is not empty.
enum class StartPolicy {
  kAuto,     ///< go on with an unfinished run of the same recipe
  kResume,   ///< the same, and it is an error when there is nothing to go on with
  kRestart,  ///< move the old run aside (NAME.old-N) and begin again
};

/// The folder of one run, held by this process alone. docs/formats/run_folder.md lists its files.
class RunFolder {
 public:
  enum class State { kNew, kUnfinished, kFinished };

  /// Makes or takes over `path` for the resolved recipe. Throws ConfigError naming the keys that
  /// differ when it holds a run of another recipe, InputError when it holds something else or
  /// another process uses it.
  RunFolder(std::filesystem::path path, const std::string& recipe_text, StartPolicy policy,
            core::Logger& log);

  State state() const { return state_; }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path recipe() const { return path_ / "recipe.yaml"; }
  std::filesystem::path manifest() const { return path_ / "manifest.json"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path evaluation_before() const { return path_ / "evaluation_before.json"; }
  std::filesystem::path report() const { return path_ / "report.json"; }
  std::filesystem::path final_model() const { return path_ / "final"; }

 private:
  void take_over(const std::string& recipe_text, StartPolicy policy);
  void begin_new(const std::string& recipe_text, StartPolicy policy);

  std::filesystem::path path_;
  std::unique_ptr<core::FolderLock> lock_;
  State state_ = State::kNew;
};

}  // namespace distill::pipeline
