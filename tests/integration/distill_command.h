#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "integration/tiny_run.h"
#include "support/program.h"

namespace distill::testing {

/// Runs `distill ARGUMENTS` to its end, models on the CPU unless the arguments say where.
inline ProgramResult distill(std::vector<std::string> arguments, const std::string& input = "") {
  const auto has = [&](const char* argument) {
    return std::ranges::find(arguments, argument) != arguments.end();
  };
  const bool runs_a_model = has("logits") || has("generate") || has("eval");
  if (runs_a_model && !has("--device") && !has("--help")) {
    arguments.insert(arguments.end(), {"--device", "cpu"});
  }
  arguments.insert(arguments.begin(), DISTILL_BINARY);
  return run_program(arguments, {.input = input});
}

/// The folder of the tiny reference model, as an argument.
inline std::string tiny() {
  return tiny_model().string();
}

}  // namespace distill::testing
