#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <distill/core/describe.h>
#include <distill/eval/set_options.h>

namespace distill::train {

struct AdamWOptions {
  double lr = 1e-3;                         ///< peak rate
  std::vector<double> betas = {0.9, 0.95};  ///< decay of the two moments
  double eps = 1e-8;
  double weight_decay = 0.0;  ///< decoupled; applied to matrices only (norms and biases are spared)
};

enum class ScheduleKind { kCosine, kLinear, kConstant };
constexpr std::array<std::string_view, 3> choice_names(ScheduleKind) {
  return {"cosine", "linear", "constant"};
}

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kCosine;
  std::int64_t warmup_steps = 0;  ///< linear from 0 to the peak
  double min_lr_ratio = 0.1;      ///< where cosine and linear end, relative to the peak
};

struct CheckpointOptions {
  std::int64_t every = 200;  ///< steps; 0: only when stopped and at the end
  std::int64_t keep = 2;
};

struct EvaluateScheduleOptions {
  std::int64_t every = 0;  ///< steps; 0: never in between
  bool at_start = true;
  bool at_end = true;
  std::vector<eval::NamedSetOptions> sets = {};  ///< measured at start and end beside the text
};

void describe(core::FieldVisitor& visit, AdamWOptions& options);
void describe(core::FieldVisitor& visit, ScheduleOptions& options);
void describe(core::FieldVisitor& visit, CheckpointOptions& options);
void describe(core::FieldVisitor& visit, EvaluateScheduleOptions& options);
void validate(const AdamWOptions& options, core::Problems& problems);
void validate(const ScheduleOptions& options, core::Problems& problems);
void validate(const CheckpointOptions& options, core::Problems& problems);
void validate(const EvaluateScheduleOptions& options, core::Problems& problems);

/// The rate of step `step` (0-based) of `total_steps`, as a factor of the peak.
double schedule_factor(const ScheduleOptions& options, std::int64_t step, std::int64_t total_steps);

}  // namespace distill::train
