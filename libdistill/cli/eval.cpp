#include <iostream>
#include <memory>

#include <distill/commands/evaluate.h>

#include "commands.h"
#include "model_arguments.h"

namespace distill::cli {

void add_eval(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("eval", "Measure a model on held-out rows");
  auto options = std::make_shared<commands::EvaluateCommandOptions>();
  add_model_source(*app, options->source);
  app->add_option("--teacher", options->teacher,
                  "Teacher's folder: adds KL and agreement, or its figures beside the model's");
  app->add_option("--data", options->data, "JSONL files")->required();
  app->add_option("--task", options->task, "perplexity, agreement, choice or bias")
      ->check(CLI::IsMember({"perplexity", "agreement", "choice", "bias"}));
  app->add_option("--chat-template", options->chat_template,
                  "auto, chatml, llama3, deepseek, mistral, qwen3 or none");
  app->add_option("--sequence-length", options->sequence_length, "Tokens of one row")
      ->check(CLI::Range(2, 1 << 20));
  app->add_option("--max-rows", options->max_rows, "0: all")->check(CLI::NonNegativeNumber);
  app->add_flag("--json", options->json, "Write one JSON object");
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      commands::evaluate_model(*options, std::cout, log);
      return 0;
    };
  });
}

}  // namespace distill::cli
