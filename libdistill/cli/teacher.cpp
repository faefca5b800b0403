#include <iostream>
#include <memory>

#include <distill/commands/serve_teacher.h>

#include "commands.h"
#include "model_arguments.h"
#include "signals.h"

namespace distill::cli {

void add_teacher(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand(
      "teacher", "Hand a model's last hidden states to students in other processes");
  auto options = std::make_shared<commands::ServeTeacherOptions>();
  add_model_source(*app, options->source);
  auto* place = app->add_option_group("place");
  place->add_option("--shared", options->shared, "Name of shared memory, for this machine");
  place->add_option("--listen", options->listen, "HOST:PORT, over c10d, for trusted networks");
  place->require_option(1);
  app->add_option("--threads", options->threads, "Of one pass")->check(CLI::Range(1, 4096));
  app->add_flag("--stay", options->stay, "Wait for others when the last student has gone");
  app->add_flag("--json", options->json, "Write one JSON object at the end");
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      options->stop = stop_on_signals();
      commands::serve_teacher(*options, std::cout, log);
      return 0;
    };
  });
}

}  // namespace distill::cli
