#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run_folder.h>
#include <distill/recipe/recipe.h>

namespace distill::pipeline {

using distill::Interrupted;

struct RunOptions {
  StartPolicy policy = StartPolicy::kAuto;
  const core::StopFlag* stop = nullptr;
  bool terminal = false;          ///< stderr is a terminal: a progress bar
  std::int64_t width = 80;        ///< its columns
  bool quiet = false;             ///< no progress at all
  std::string cache_folder = {};  ///< for tokens, with `data.cache: auto`; empty: none is kept
  std::string scratch_folder = "/tmp";  ///< of a pipeline: for what is planned with and goes again
  /// Bytes that may be allocated; empty: what models::available_memory says.
  std::optional<std::uint64_t> available_memory = {};
  /// A stage of a pipeline, which has planned it and the further tries that its gates may want.
  bool is_stage = false;
  /// What progress shows of a run that is one of several; as in metrics::ConsoleOptions.
  std::string label = {};
  std::function<std::optional<double>(double eta_seconds, double seconds_per_step)> whole_eta = {};
  /// Keys of servers, by the names that recipes give them; they are kept nowhere.
  recipe::SecretSource secret = {};
};

/// A run that is not to be used, by what a gate or `forgetting` says.
class RunStopped : public Error {
 public:
  RunStopped(const std::string& what, Report report) : Error(what), report_(std::move(report)) {}
  /// What was measured, with why it `stopped`.
  const Report& report() const { return report_; }

 private:
  Report report_;
};

struct RunResult {
  Report report;
  std::filesystem::path folder;
  std::filesystem::path model;  ///< the student, a Hugging Face folder
  std::filesystem::path base;   ///< the model folder beneath, when `model` is an adapter folder
  bool was_finished = false;    ///< it was done before; nothing was trained
};

/// Runs a recipe in its run folder, from wherever an earlier call left off: evaluates, trains,
/// evaluates, saves the student and the report.
/// Throws Interrupted when stopped, InputError and its children before anything is trained,
/// RunStopped when the student is not what it should be, Error when training fails.
RunResult run_recipe(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log);

}  // namespace distill::pipeline
