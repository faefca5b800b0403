#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include <distill/commands/evaluate.h>
#include <distill/core/error.h>

#include "commands.h"
#include "limits.h"
#include "model_arguments.h"

namespace distill::cli {

namespace {

/// Sets of choices and of bias are scored as they stand.
void refuse_for_sets(const std::string& task, const CLI::Option& option) {
  if ((task != "choice" && task != "bias") || option.count() == 0) return;
  fail<InputError>(option.get_name(), ": has no effect with --task ", task,
                   ", which scores each row as it stands; leave it out");
}

}  // namespace

void add_eval(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("eval", "Measure a model on held-out rows");
  auto options = std::make_shared<commands::EvaluateCommandOptions>();
  add_model_source(*app, options->source);
  app->add_option("--teacher", options->teacher,
                  "Teacher's folder: adds KL and agreement, or its figures beside the model's");
  app->add_option("--data", options->data, "JSONL files, or folders of them")->required();
  app->add_option("--task", options->task,
                  "What the rows are (docs/evaluation.md). perplexity, if not given: texts; "
                  "agreement: texts, with --teacher; choice: context, choices, label; bias: pairs "
                  "of sentences, or questions about groups")
      ->check(CLI::IsMember({"perplexity", "agreement", "choice", "bias"}))
      ->option_text("perplexity|agreement|choice|bias");
  auto* chat = app->add_option("--chat-template", options->chat_template,
                               "Of rows of messages: auto, chatml, llama3, deepseek, mistral, "
                               "qwen3 or none");
  auto* length = app->add_option("--sequence-length", options->sequence_length,
                                 "Most tokens of a piece of text; 512 if not given");
  length->check(CLI::Range(2, 1 << 20));
  app->add_option("--max-rows", options->max_rows, "The first so many rows alone; 0: all")
      ->check(not_negative());
  app->add_flag("--json", options->json, "Write one JSON object");
  app->callback([&action, options, chat, length] {
    action = [options, chat, length](core::Logger& log) {
      refuse_for_sets(options->task, *chat);
      refuse_for_sets(options->task, *length);
      commands::evaluate_model(*options, std::cout, log);
      return 0;
    };
  });
}

}  // namespace distill::cli
