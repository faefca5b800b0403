// The `distill` command: arguments to calls, nothing else. Each sub-command has a file of its name.
#include <cstdlib>
#include <iostream>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include <distill/core/log.h>
#include <distill/core/memory.h>
#include <distill/core/output.h>
#include <distill/core/strict_sums.h>
#include <distill/pipeline/train_command.h>

#include "commands.h"

int main(int argc, char** argv) {
  using namespace distill;
  using namespace distill::cli;
  CLI::App app("Tools around distilled models", "distill");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", DISTILL_VERSION);
  bool verbose = false;
  app.add_flag("--verbose", verbose, "More messages, and back-traces with errors");
  Action action;
  for (auto* add :
       {add_tokenize, add_logits, add_generate, add_eval, add_augment, add_generate_data, add_cache,
        add_teacher, add_export, add_layers, add_inspect, add_report})
    add(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app.exit(error);  // prints the help or the version
      return std::cout.flush() ? 0 : 1;
    }
    std::cerr << "error: " << error.what() << "; see distill --help\n";
    return 2;
  }
  core::request_strict_sums();
  core::keep_freed_memory();  // commands form logits of the same size again and again
  const auto level = verbose ? core::LogLevel::kDebug : core::LogLevel::kInfo;
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  const auto log =
      core::make_console_logger({level, terminal && std::getenv("NO_COLOR") == nullptr, terminal});
  try {
    const int code = action(*log);
    core::finish_output(std::cout, "standard output");
    return code;
  } catch (const std::exception& error) {
    std::cerr << pipeline::error_lines(error, verbose);
    return pipeline::exit_code(error);
  }
}
