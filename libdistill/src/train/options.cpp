#include <distill/train/options.h>

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

void validate(const AdamWOptions& options, core::Problems& problems) {
  if (!(options.lr > 0) || !std::isfinite(options.lr)) {
    problems.add("lr", concat("must be above 0, it is ", options.lr));
  }
  if (options.betas.size() != 2) {
    problems.add("betas", concat("must hold two numbers, it holds ", options.betas.size()));
  }
  for (const double beta : options.betas) {
    if (!(beta >= 0 && beta < 1)) {
      problems.add("betas", concat("each must be at least 0 and below 1, one is ", beta));
    }
  }
  if (!(options.eps > 0) || !std::isfinite(options.eps)) {
    problems.add("eps", concat("must be above 0, it is ", options.eps));
  }
  if (!(options.weight_decay >= 0) || !std::isfinite(options.weight_decay)) {
    problems.add("weight_decay", concat("must not be negative, it is ", options.weight_decay));
  }
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
