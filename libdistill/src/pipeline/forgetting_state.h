#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <distill/pipeline/forgetting_reaction.h>

namespace distill::pipeline {

/// How much worse each set was than before training, at one step.
struct ForgettingLook {
  std::int64_t step = 0;
  std::int64_t reactions = 0;  ///< that had been made by then
  std::vector<std::pair<std::string, double>> drops;

  /// The set that is worst, and its drop; one that is NaN is worse than any. `drops` holds one.
  const std::pair<std::string, double>& worst() const;
};

/// What a run's monitor has seen and done: forgetting.json.
struct ForgettingState {
  std::vector<ForgettingLook> looks;  ///< those at steps that were given up too
  std::vector<ForgettingReaction> reactions;

  std::int64_t num_reactions() const { return static_cast<std::int64_t>(reactions.size()); }
  /// The look at a step of what the run now goes on from; null: there is none.
  const ForgettingLook* look_at(std::int64_t step) const;
  /// The newest of these looks; null: there is none.
  const ForgettingLook* newest_look() const;
  /// The newest of them whose drops are all at most `max_drop`; 0: before training.
  std::int64_t good_step(double max_drop) const;

 private:
  /// Of steps that were not given up: before the first step that a later reaction went back to.
  bool counts(const ForgettingLook& look) const;
};

void write_forgetting(const std::filesystem::path& path, const ForgettingState& state);
/// Nothing seen where there is no file. Throws FormatError.
ForgettingState read_forgetting(const std::filesystem::path& path);

}  // namespace distill::pipeline
