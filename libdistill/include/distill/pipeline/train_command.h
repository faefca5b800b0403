#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/pipeline/run.h>

namespace distill::pipeline {

/// What `distill_train` was asked for.
struct TrainCommand {
  std::filesystem::path recipe;
  std::vector<std::string> overrides;  ///< `path.to.key=value`
  std::vector<std::string> redo = {};  ///< stages to do again, with all that depends on them
  bool dry_run = false;
  bool json = false;                ///< the result as JSON
  std::string distill = "distill";  ///< how the user calls the program that talks to a model
  RunOptions run;
};

/// Does it and returns the text for stdout. Throws what reading, planning and running throw, and
/// ConfigError when the run folder would be one that the recipe file lies in (its own recipe.yaml
/// apart).
std::string run_train_command(const TrainCommand& command, core::Logger& log);

/// The reference page of recipes with all built-in kinds.
std::string builtin_recipe_reference();

/// The `error: ` lines for stderr: one for each line of the message, without control characters.
/// C++ back-traces are kept only when `verbose`.
std::string error_lines(const std::exception& error, bool verbose);
/// 1 it failed while running, 2 bad input.
int exit_code(const std::exception& error);

}  // namespace distill::pipeline
