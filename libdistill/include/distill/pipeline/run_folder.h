#pragma once

#include <filesystem>
#include <functional>
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

  /// A stored recipe as this version would write it, with the defaults of keys that are new, and
  /// with the present values of those that may change when a run goes on.
  using Rewrite = std::function<std::string(const std::string& recipe_text)>;

  /// Makes or takes over `path` for the resolved recipe. A folder is taken for a run by the first
  /// line of its recipe.yaml; nothing is changed in any other that holds files. Where the run goes
  /// on with a recipe that is the same only after `rewrite`, that one is stored. Throws ConfigError
  /// naming the keys that differ when it holds a run of another recipe, InputError when it holds
  /// something else or another process uses it.
  RunFolder(std::filesystem::path path, const std::string& recipe_text, StartPolicy policy,
            core::Logger& log, const Rewrite& rewrite = {});

  State state() const { return state_; }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path recipe() const { return path_ / "recipe.yaml"; }
  std::filesystem::path manifest() const { return path_ / "manifest.json"; }
  /// What is kept of a teacher that no file tells of (teachers::Teacher::likeness).
  std::filesystem::path teacher() const { return path_ / "teacher.json"; }
  /// Further tries that gates asked for.
  std::filesystem::path attempts() const { return path_ / "attempts.json"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path evaluation_before() const { return path_ / "evaluation_before.json"; }
  std::filesystem::path evaluation_after() const { return path_ / "evaluation_after.json"; }
  std::filesystem::path sets_before() const { return path_ / "sets_before.json"; }
  std::filesystem::path sets_after() const { return path_ / "sets_after.json"; }
  std::filesystem::path sets_teacher() const { return path_ / "sets_teacher.json"; }
  std::filesystem::path forgetting() const { return path_ / "forgetting.json"; }
  /// Of the newest student that had not forgotten too much.
  std::filesystem::path remembering() const { return path_ / "forgetting"; }
  std::filesystem::path report() const { return path_ / "report.json"; }
  /// What a run came to that was stopped by a gate or because of `forgetting`.
  std::filesystem::path stopped_report() const { return path_ / "stopped.json"; }
  /// Event files.
  std::filesystem::path tensorboard() const { return path_ / "tensorboard"; }
  std::filesystem::path final_model() const { return path_ / "final"; }

 private:
  bool is_run() const;
  void require_run_or_nothing() const;
  void take_over(const std::string& recipe_text, StartPolicy policy, core::Logger& log,
                 const Rewrite& rewrite);
  void store_recipe(const std::string& recipe_text);
  void begin_new(const std::string& recipe_text, StartPolicy policy);

  std::filesystem::path path_;
  std::unique_ptr<core::FolderLock> lock_;
  State state_ = State::kNew;
};

}  // namespace distill::pipeline
