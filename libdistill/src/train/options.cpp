#include <distill/train/options.h>

#include <algorithm>
#include <cmath>

#include <distill/core/strings.h>

namespace distill::train {

namespace {

using core::concat;

void require_at_least(core::Problems& problems, const char* field, std::int64_t value,
                      std::int64_t smallest) {
  if (value < smallest) {
    problems.add(field, concat("must be at least ", smallest, ", it is ", value));
  }
}

}  // namespace

void describe(core::FieldVisitor& visit, AdamWOptions& options) {
  visit("lr", options.lr, "peak learning rate");
  visit("betas", options.betas, "decay of the running means of the gradient and of its square");
  visit("eps", options.eps, "added to the root of the mean square");
  visit("weight_decay", options.weight_decay,
        "decoupled decay, times the rate; matrices only, norms and biases are spared");
}

namespace {

void check_lr(core::Problems& problems, double lr) {
  if (!(lr > 0) || !std::isfinite(lr)) problems.add("lr", concat("must be above 0, it is ", lr));
}

void check_moments(core::Problems& problems, const std::vector<double>& betas, double eps) {
  if (betas.size() != 2) {
    problems.add("betas", concat("must hold two numbers, it holds ", betas.size()));
  }
  for (const double beta : betas) {
    if (!(beta >= 0 && beta < 1)) {
      problems.add("betas", concat("each must be at least 0 and below 1, one is ", beta));
    }
  }
  if (!(eps > 0) || !std::isfinite(eps)) {
    problems.add("eps", concat("must be above 0, it is ", eps));
  }
}

void check_decay(core::Problems& problems, double weight_decay) {
  if (!(weight_decay >= 0) || !std::isfinite(weight_decay)) {
    problems.add("weight_decay", concat("must not be negative, it is ", weight_decay));
  }
}

}  // namespace

void validate(const AdamWOptions& options, core::Problems& problems) {
  check_lr(problems, options.lr);
  check_moments(problems, options.betas, options.eps);
  check_decay(problems, options.weight_decay);
}

void describe(core::FieldVisitor& visit, MuonOptions& options) {
  visit("lr", options.lr,
        "peak learning rate, on AdamW's scale: the root mean square of an update is 0.2 times it");
  visit("momentum", options.momentum, "decay of the running mean of a matrix's gradient");
  visit("nesterov", options.nesterov, "look one step ahead with the momentum");
  visit("iterations", options.iterations, "of Newton and Schulz, which orthogonalise an update");
  visit("weight_decay", options.weight_decay,
        "decoupled decay, times the rate; matrices only, norms and biases are spared");
  visit("adamw_for", options.adamw_for,
        "matrices that AdamW updates, as it does all that are no matrices");
  visit("adamw_lr_ratio", options.adamw_lr_ratio, "AdamW's rate relative to `lr`");
  visit("betas", options.betas, "of AdamW: decay of its running means");
  visit("eps", options.eps, "of AdamW: added to the root of the mean square");
}

bool orthogonalizes(const MuonOptions& options, std::string_view name, std::size_t dimensions) {
  return dimensions == 2 && std::ranges::find(options.adamw_for, name) == options.adamw_for.end();
}

void validate(const MuonOptions& options, core::Problems& problems) {
  check_lr(problems, options.lr);
  if (!(options.momentum >= 0 && options.momentum < 1)) {
    problems.add("momentum", concat("must be at least 0 and below 1, it is ", options.momentum));
  }
  if (options.iterations < 1 || options.iterations > 20) {
    problems.add("iterations", concat("must be from 1 to 20, it is ", options.iterations));
  }
  if (!(options.adamw_lr_ratio > 0) || !std::isfinite(options.adamw_lr_ratio)) {
    problems.add("adamw_lr_ratio", concat("must be above 0, it is ", options.adamw_lr_ratio));
  }
  check_moments(problems, options.betas, options.eps);
  check_decay(problems, options.weight_decay);
}

void describe(core::FieldVisitor& visit, ScheduleOptions& options) {
  visit("kind", options.kind, "shape of the decay after the warm-up");
  visit("warmup_steps", options.warmup_steps, "steps in which the rate grows to its peak");
  visit("min_lr_ratio", options.min_lr_ratio,
        "rate of the last step relative to the peak; constant ignores it");
}

void validate(const ScheduleOptions& options, core::Problems& problems) {
  require_at_least(problems, "warmup_steps", options.warmup_steps, 0);
  if (!(options.min_lr_ratio >= 0 && options.min_lr_ratio <= 1)) {
    problems.add("min_lr_ratio", concat("must be between 0 and 1, it is ", options.min_lr_ratio));
  }
}

void describe(core::FieldVisitor& visit, CheckpointOptions& options) {
  visit("every", options.every, "steps between checkpoints; 0: only when stopped and at the end");
  visit("keep", options.keep, "how many of the newest are kept");
}

void validate(const CheckpointOptions& options, core::Problems& problems) {
  require_at_least(problems, "every", options.every, 0);
  require_at_least(problems, "keep", options.keep, 1);
}

void describe(core::FieldVisitor& visit, EvaluateScheduleOptions& options) {
  visit("every", options.every, "steps between evaluations; 0: none in between");
  visit("at_start", options.at_start, "evaluate before the first step");
  visit("at_end", options.at_end, "evaluate after the last step");
  visit("sets", options.sets,
        "what else is measured at start and end, and once on a local teacher "
        "(docs/evaluation.md)");
}

void validate(const EvaluateScheduleOptions& options, core::Problems& problems) {
  require_at_least(problems, "every", options.every, 0);
  eval::require_distinct_names(options.sets, "sets", problems);
  if (!options.sets.empty() && !options.at_start && !options.at_end) {
    problems.add("sets", "has no effect with `at_start` and `at_end` off");
  }
}

}  // namespace distill::train
