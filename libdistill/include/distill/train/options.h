#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
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

/// Matrices inside the layers take steps whose singular values are all about 1; the rest is left to
/// AdamW.
struct MuonOptions {
  double lr = 1e-3;  ///< peak rate, on AdamW's scale: an update's root mean square is 0.2 lr
  double momentum = 0.95;
  bool nesterov = true;
  std::int64_t iterations = 5;  ///< of Newton and Schulz
  double weight_decay = 0.0;    ///< decoupled, matrices only
  std::vector<std::string> adamw_for = {"model.embed_tokens.weight", "lm_head.weight"};
  double adamw_lr_ratio = 1.0;  ///< AdamW's rate, relative to `lr`
  std::vector<double> betas = {0.9, 0.95};
  double eps = 1e-8;
};

/// Whether Muon's own update is taken for a parameter of so many dimensions; else it is AdamW's.
bool orthogonalizes(const MuonOptions& options, std::string_view name, std::size_t dimensions);

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
void describe(core::FieldVisitor& visit, MuonOptions& options);
void describe(core::FieldVisitor& visit, ScheduleOptions& options);
void describe(core::FieldVisitor& visit, CheckpointOptions& options);
void describe(core::FieldVisitor& visit, EvaluateScheduleOptions& options);
void validate(const AdamWOptions& options, core::Problems& problems);
void validate(const MuonOptions& options, core::Problems& problems);
void validate(const ScheduleOptions& options, core::Problems& problems);
void validate(const CheckpointOptions& options, core::Problems& problems);
void validate(const EvaluateScheduleOptions& options, core::Problems& problems);

/// The rate of step `step` (0-based) of `total_steps`, as a factor of the peak.
double schedule_factor(const ScheduleOptions& options, std::int64_t step, std::int64_t total_steps);

}  // namespace distill::train
