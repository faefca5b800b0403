#pragma once

#include <string>
#include <utility>
#include <vector>

#include "integration/tiny_run.h"
#include "support/program.h"

namespace distill::testing {

/// Runs `distill ARGUMENTS` to its end.
inline ProgramResult distill(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), DISTILL_BINARY);
  return run_program(arguments, {.input = input});
}

/// The folder of the tiny reference model, as an argument.
inline std::string tiny() {
  return tiny_model().string();
}

}  // namespace distill::testing
