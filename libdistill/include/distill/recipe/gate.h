#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/describe.h>

namespace distill::recipe {

/// What happens when a gate does not hold.
enum class OnFailure { kStop, kWarn, kRetry };
constexpr std::array<std::string_view, 3> choice_names(OnFailure) {
  return {"stop", "warn", "retry"};
}

/// Settings of another try, as overrides of the recipe: `train.steps=200`.
struct RetrySettings {
  std::vector<std::string> set;
};

/// A condition on what a run measures of its student at the end.
struct Gate {
  std::string require;  ///< `kl_to_teacher < 0.4`
  OnFailure on_failure = OnFailure::kStop;
  std::vector<RetrySettings> with = {};  ///< of each further try, the first one first
  std::optional<std::int64_t> retries = {};
};

/// A gate's `require`, read.
struct GateCondition {
  enum class Comparison { kBelow, kAtMost, kAbove, kAtLeast };
  std::string measure;
  Comparison comparison = Comparison::kBelow;
  double bound = 0;

  /// False for a value that is no number.
  bool holds(double value) const;
};

/// Throws ConfigError for anything but a name, one of `<`, `<=`, `>`, `>=` and a finite number.
GateCondition parse_condition(std::string_view text);

void describe(core::FieldVisitor& visit, RetrySettings& settings);
void describe(core::FieldVisitor& visit, Gate& gate);
void validate(const RetrySettings& settings, core::Problems& problems);
void validate(const Gate& gate, core::Problems& problems);

}  // namespace distill::recipe
