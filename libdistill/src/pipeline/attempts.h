#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/pipeline/report.h>
#include <distill/pipeline/run.h>
#include <distill/pipeline/run_folder.h>
#include <distill/recipe/recipe.h>

namespace distill::pipeline {

/// Thrown when a gate wants the run done again.
struct RetryWanted {
  GateResult gate;
  Report report;
};

/// A further try, as attempts.json has it.
struct Retry {
  std::string gate;  ///< its `require`
  double value = 0;  ///< what it was
  std::vector<std::string> set;
};

/// Whether a gate can have another try in the folder of a run. Throws FormatError when
/// attempts.json is damaged.
bool has_try_left(const std::filesystem::path& run, const recipe::Recipe& recipe,
                  const GateResult& gate);

/// What attempts before the one in the folder took, as far as they left a report; empty where there
/// were none. Throws FormatError when attempts.json is damaged.
std::optional<RunCosts> earlier_attempt_costs(const std::filesystem::path& run);

/// How often a run was begun, and with which settings: attempts.json. What an earlier attempt wrote
/// lies in attempts/N. A process that is killed at any moment leaves one attempt or the next.
class Attempts {
 public:
  /// Ends what a killed process began. Throws FormatError when the file is damaged.
  Attempts(const RunFolder& folder, bool is_stage);

  std::int64_t number() const { return std::ssize(retries_) + 1; }
  /// Overrides of this attempt.
  std::vector<std::string> settings() const;
  recipe::Recipe apply(const recipe::Recipe& recipe) const;

  /// Begins the next one, with the next settings of the gate. Throws RunStopped with `report` when
  /// they are used up.
  void begin_next(const recipe::Recipe& recipe, const GateResult& failed, const Report& report,
                  core::Logger& log);

 private:
  void store(bool moved) const;
  void move_old_files() const;

  const RunFolder& folder_;
  bool is_stage_;
  std::vector<Retry> retries_;
};

/// What a gate that ends the run says. With another recipe a stage is done again by itself; a run
/// has to be told to.
std::string stopped_by_gate(const RunFolder& folder, const GateResult& failed, std::int64_t attempt,
                            bool is_stage);

/// A run that is done is held against the gates of now, which need not be those that it passed.
/// Throws RunStopped, or returns the gate that wants another try.
std::optional<GateResult> judge_finished(const recipe::Recipe& recipe, const RunFolder& folder,
                                         bool is_stage, Report& report, core::Logger& log);

}  // namespace distill::pipeline
