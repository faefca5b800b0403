#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/log.h>
#include <distill/io/checkpoint.h>
#include <distill/metrics/sink.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run_folder.h>
#include <distill/recipe/recipe.h>
#include <distill/train/trainer.h>

#include "pipeline/forgetting_state.h"
#include "pipeline/run_evaluations.h"

namespace distill::pipeline {

/// The run has to begin again from where the student had not forgotten too much.
class WentBack : public Error {
 public:
  using Error::Error;
};

/// Too much was forgotten, and the recipe says to stop then.
class Forgotten : public Error {
 public:
  Forgotten(const std::filesystem::path& run, const std::string& reason)
      : Error(run.string() + ": " + reason), reason_(reason) {}
  /// Without the name of the run.
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

/// Looks after some steps whether the student is worse than before training, keeps the newest that
/// is not, and has the run go back to it. What it decides depends on the student alone and is on
/// disk before anything follows from it, so that a run that is killed decides the same again.
class ForgettingMonitor {
 public:
  /// All outlive it.
  struct Parts {
    const recipe::Recipe& recipe;  ///< has `forgetting`
    const RunFolder& folder;
    core::Logger& log;
    RunEvaluations& evaluations;
    const std::vector<std::unique_ptr<metrics::Sink>>& sinks;
    train::Trainer& trainer;
    io::CheckpointStore* remembering;  ///< null: it only looks
  };
  /// Called when metrics.jsonl holds what is kept of it.
  explicit ForgettingMonitor(const Parts& parts);

  /// After a step; `last`: of the run. Throws WentBack, Forgotten, eval::Stopped.
  void after_step(std::int64_t step, bool last);

  /// What the report says.
  ForgettingReport report() const;

 private:
  ForgettingLook look(std::int64_t step);
  void react(const ForgettingLook& look);
  void save_state() const;
  void log_look(const ForgettingLook& look);
  void log_reactions();

  Parts parts_;
  const train::ForgettingOptions& options_;
  std::vector<std::string> sets_;
  ForgettingState state_;
  LoggedForgetting logged_;
};

/// Where a run keeps its checkpoints after so many reactions: those of before are of steps that
/// were given up, and are removed.
std::filesystem::path checkpoint_folder(const RunFolder& folder, std::int64_t reactions);

}  // namespace distill::pipeline
