#pragma once

#include <cmath>
#include <string_view>

#include <distill/core/describe.h>
#include <distill/core/error.h>

namespace distill::losses {

inline void check_not_negative(const char* field, double value, core::Problems& problems) {
  if (std::isfinite(value) && value >= 0) return;
  problems.add(field, core::concat("must be finite and not negative, is ", value));
}

/// Throws ConfigError with every problem of `options`.
template <class Options>
const Options& checked(const Options& options, std::string_view kind) {
  core::Problems problems;
  validate(options, problems);
  if (problems.items().empty()) return options;
  std::string text;
  for (const auto& problem : problems.items()) {
    if (!text.empty()) text += '\n';
    text += core::concat(kind, ": `", problem.field, "` ", problem.message);
  }
  fail<ConfigError>(text);
}

}  // namespace distill::losses
