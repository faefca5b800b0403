#pragma once

#include <distill/core/describe.h>
#include <distill/core/error.h>

namespace distill::train {

/// Throws ConfigError with the first problem of an optimizer's options.
template <typename Options>
void require_valid(const char* optimizer, const Options& options) {
  core::Problems problems;
  validate(options, problems);
  if (problems.items().empty()) return;
  const auto& first = problems.items().front();
  fail<ConfigError>(optimizer, ": `", first.field, "` ", first.message);
}

}  // namespace distill::train
