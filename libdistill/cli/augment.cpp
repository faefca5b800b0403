#include <iostream>
#include <memory>

#include <distill/generation/augment.h>

#include "commands.h"
#include "generator_arguments.h"
#include "limits.h"
#include "signals.h"

namespace distill::cli {

void add_augment(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("augment", "Say texts in other words, by way of another language");
  auto options = std::make_shared<generation::AugmentOptions>();
  auto model = add_generator(*app);
  auto json = std::make_shared<bool>(false);
  app->add_option("--data", options->data, "JSONL file")->required();
  app->add_option("--out", options->out, "JSONL file to write; must not exist")->required();
  app->add_option("--field", options->fields, "Member to rewrite; may be repeated");
  app->add_option("--language", options->language, "Language of the texts");
  app->add_option("--via", options->via, "Language they are translated into and back from");
  app->add_option("--prompt", options->prompt, "What the model is told: {text}, {from}, {to}");
  app->add_option("--back-prompt", options->back_prompt, "The same for the way back");
  app->add_option("--copies", options->copies, "Tries for each row")->check(positive());
  app->add_option("--min-length", options->min_length, "Least length of a new text, relative");
  app->add_option("--max-length", options->max_length, "Greatest length, relative");
  add_parts(*app, *options);
  app->add_flag("--json", *json, "Write one JSON object");
  app->callback([&action, options, model, json] {
    action = [options, model, json](core::Logger& log) {
      watch(*options);
      const auto generator = make_generator(*model, options->stop, log);
      generation::print_result(generation::augment(*options, *generator, log), *json, std::cout);
      return 0;
    };
  });
}

}  // namespace distill::cli
