#include <iostream>
#include <memory>

#include <distill/commands/choose_layers.h>

#include "commands.h"
#include "limits.h"
#include "model_arguments.h"

namespace distill::cli {

void add_layers(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("layers", "Find the layers of a model that a student begins with");
  auto options = std::make_shared<commands::ChooseLayersCommandOptions>();
  app->add_option("--model", options->source.model, "Model folder: the teacher")->required();
  app->add_option("--data", options->data, "JSONL files of training texts, or folders of them")
      ->required();
  app->add_option("--keep", options->keep, "Layers of the student")->required()->check(positive());
  app->add_option("--tokens", options->tokens,
                  "Of the data that are read, about; 10240 if not given. More take longer")
      ->check(positive());
  app->add_option("--sequence-length", options->sequence_length,
                  "Most tokens of a piece of text; 256 if not given")
      ->check(CLI::Range(2, 1 << 20));
  app->add_option("--chat-template", options->chat_template,
                  "Of rows of messages: auto, chatml, llama3, deepseek, mistral, qwen3 or none");
  add_dtype(*app, options->source.dtype);
  add_ignore_memory(*app, options->source.available_memory);
  add_device(*app, options->source.device);
  app->add_flag("--json", options->json, "Write one JSON object");
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      commands::choose_layers(*options, std::cout, log);
      return 0;
    };
  });
}

}  // namespace distill::cli
