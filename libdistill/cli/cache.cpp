#include <iostream>
#include <memory>

#include <distill/commands/cache.h>

#include "commands.h"
#include "model_arguments.h"
#include "signals.h"
#include "user_cache.h"

namespace distill::cli {

void add_cache(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("cache", "Keep what a recipe's teacher says, for training");
  auto options = std::make_shared<commands::CacheCommandOptions>();
  app->add_option("RECIPE", options->recipe, "YAML recipe with `teacher: {kind: cache, ...}`")
      ->required();
  app->add_option("OVERRIDES", options->overrides, "path.to.key=value ...");
  app->add_flag("--restart", options->capture.restart, "Begin anew where a cache is");
  app->add_flag("--json", options->json, "Write one JSON object");
  add_ignore_memory(*app, options->capture.available_memory);
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      watch(options->capture);
      options->capture.token_cache = user_token_cache();
      commands::run_cache_command(*options, std::cout, log);
      return 0;
    };
  });
}

}  // namespace distill::cli
