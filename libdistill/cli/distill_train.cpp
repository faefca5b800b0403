#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <limits>
#include <string>
#include <system_error>

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <distill/core/log.h>
#include <distill/core/memory.h>
#include <distill/core/output.h>
#include <distill/core/strict_sums.h>
#include <distill/pipeline/train_command.h>

#include "signals.h"
#include "user_cache.h"

namespace {

constexpr const char* kFooter = R"(
Overrides set any key of the recipe by its dotted path, with a YAML value:
  distill_train configs/quickstart.yaml train.steps=500 loss.0.temperature=2 output=runs/longer

A run lives in the folder `output` (runs/NAME). Stopped with Ctrl-C or killed, the same command goes
on where it was. All keys: docs/recipe.md.

Exit status: 0 done, 1 it failed while running, 2 bad arguments, recipe or input.)";

void look_at_terminal(distill::pipeline::RunOptions& run) {
  run.terminal = ::isatty(STDERR_FILENO) != 0;
  struct winsize size {};
  if (run.terminal && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    run.width = size.ws_col;
  }
}

/// `distill` as this program was called: beside it, or found on the search path as well.
std::string name_of_distill(const std::string& own_name) {
  const auto slash = own_name.rfind('/');
  return slash == std::string::npos ? "distill" : own_name.substr(0, slash + 1) + "distill";
}

}  // namespace

int main(int argc, char** argv) {
  using distill::pipeline::StartPolicy;
  distill::pipeline::TrainCommand command;
  bool verbose = false, resume = false, restart = false, reference = false;
  bool ignore_memory = false;
  CLI::App app("Trains a small language model to behave like a large one, as a YAML recipe says.");
  app.footer(kFooter);
  auto* recipe =
      app.add_option("RECIPE", command.recipe, "YAML recipe, such as configs/quickstart.yaml");
  app.add_option("OVERRIDES", command.overrides, "path.to.key=value ...");
  app.add_flag("--dry-run", command.dry_run,
               "print resolved recipe, plan, token counts and memory; train nothing");
  auto* resume_flag = app.add_flag("--resume", resume,
                                   "go on with the run in the folder; an error when there is none");
  app.add_flag("--restart", restart, "move the old run aside (NAME.old-N) and begin again")
      ->excludes(resume_flag);
  app.add_option(
         "--redo", command.redo,
         "stages of a pipeline to do again, with all that depends on them; the old go aside")
      ->delimiter(',')
      ->allow_extra_args(false);  // what follows is an override
  app.add_flag("--ignore-memory", ignore_memory,
               "train a model that needs more memory than is available");
  app.add_flag("--verbose", verbose, "more messages, and back-traces with errors");
  app.add_flag("--json", command.json, "the result as JSON on stdout");
  app.add_flag("--reference", reference, "print docs/recipe.md")->group("");
  app.set_version_flag("--version", DISTILL_VERSION);
  try {
    app.parse(argc, argv);
    if (!reference && recipe->count() == 0) throw CLI::RequiredError("RECIPE");
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app.exit(error);  // prints the help or the version
      return std::cout.flush() ? 0 : 1;
    }
    std::cerr << "error: " << error.what() << "; see distill_train --help\n";
    return 2;
  }
  if (resume) command.run.policy = StartPolicy::kResume;
  if (restart) command.run.policy = StartPolicy::kRestart;
  if (ignore_memory) command.run.available_memory = std::numeric_limits<std::uint64_t>::max();
  command.distill = name_of_distill(argv[0]);
  look_at_terminal(command.run);
  command.run.cache_folder = user_token_cache();
  std::error_code ignored;
  if (const auto scratch = std::filesystem::temp_directory_path(ignored); !ignored) {
    command.run.scratch_folder = scratch.string();
  }
  distill::core::request_strict_sums();
  distill::core::keep_freed_memory();
  command.run.secret = [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value != nullptr ? value : "");
  };
  command.run.stop = distill::cli::stop_on_signals();
  const auto level = verbose ? distill::core::LogLevel::kDebug : distill::core::LogLevel::kInfo;
  const auto log = distill::core::make_console_logger(
      {level, command.run.terminal && std::getenv("NO_COLOR") == nullptr, command.run.terminal});
  try {
    std::cout << (reference ? distill::pipeline::builtin_recipe_reference()
                            : distill::pipeline::run_train_command(command, *log));
    distill::core::finish_output(std::cout, "standard output");
    return 0;
  } catch (const std::exception& error) {
    std::cerr << distill::pipeline::error_lines(error, verbose);
    return distill::pipeline::exit_code(error);
  }
}
