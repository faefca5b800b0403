#include <memory>

#include <distill/commands/logits.h>

#include "commands.h"
#include "model_arguments.h"

namespace distill::cli {

void add_logits(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("logits", "Logits of id sequences, as safetensors");
  auto options = std::make_shared<commands::LogitsOptions>();
  add_model_source(*app, options->source);
  app->add_option("--ids", options->ids, "One sequence of ids a line")->required();
  app->add_option("--out", options->out, "Safetensors file to write")->required();
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      commands::write_logits(*options, log);
      return 0;
    };
  });
}

}  // namespace distill::cli
