#include <algorithm>
#include <cmath>
#include <numbers>

#include <distill/train/options.h>

namespace distill::train {

double schedule_factor(const ScheduleOptions& options, std::int64_t step,
                       std::int64_t total_steps) {
  if (step < options.warmup_steps) {
    return static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  }
  // The decay runs from the step with the full rate (the last of the warm-up, or step 0) to the
  // last step.
  const std::int64_t peak = std::max<std::int64_t>(options.warmup_steps - 1, 0);
  const std::int64_t length = total_steps - 1 - peak;
  if (options.kind == ScheduleKind::kConstant || length <= 0) return 1.0;
  const double done =
      std::clamp(static_cast<double>(step - peak) / static_cast<double>(length), 0.0, 1.0);
  const double left = options.kind == ScheduleKind::kCosine
                          ? 0.5 * (1.0 + std::cos(std::numbers::pi * done))
                          : 1.0 - done;
  return options.min_lr_ratio + (1.0 - options.min_lr_ratio) * left;
}

}  // namespace distill::train
