#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/describe.h>
#include <distill/data/options.h>

namespace distill::train {

/// What is done when a student has forgotten too much, beside going back.
struct ForgettingReaction {
  std::vector<data::DataFile> replay = {};  ///< mixed into the training data
  double kl_weight_factor = 1.0;            ///< of the terms that compare with the teacher
  std::int64_t max_reactions = 1;
};

/// What is done when no reaction is left.
enum class OnForgetting { kWarn, kStop };
constexpr std::array<std::string_view, 2> choice_names(OnForgetting) {
  return {"warn", "stop"};
}

/// Looks, while a student learns, at what it could do before.
struct ForgettingOptions {
  std::int64_t every = 0;              ///< steps between looks
  std::vector<std::string> sets = {};  ///< names in `evaluate.sets`; empty: all that can tell
  double max_drop = 0.05;              ///< relative to the student before the run
  std::optional<ForgettingReaction> react = {};  ///< absent: it only looks
  OnForgetting on_failure = OnForgetting::kWarn;
};

void describe(core::FieldVisitor& visit, ForgettingReaction& options);
void describe(core::FieldVisitor& visit, ForgettingOptions& options);
void validate(const ForgettingReaction& options, core::Problems& problems);
void validate(const ForgettingOptions& options, core::Problems& problems);

}  // namespace distill::train
