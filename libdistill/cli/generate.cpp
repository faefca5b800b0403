#include <iostream>
#include <memory>

#include <distill/commands/generate.h>

#include "commands.h"
#include "limits.h"
#include "model_arguments.h"

namespace distill::cli {

void add_generate(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("generate", "Continue a prompt or answer conversations");
  auto options = std::make_shared<commands::GenerateCommandOptions>();
  add_model_source(*app, options->source);
  auto* source = app->add_option_group("source");
  source->add_option("--prompt", options->prompt, "Text to continue");
  source->add_option("--chat", options->chat, "JSONL with `messages`");
  source->require_option(1);
  app->add_option("--chat-template", options->chat_template,
                  "auto, chatml, llama3, deepseek, mistral, qwen3 or none");
  app->add_option("--max-new-tokens", options->generate.max_new_tokens, "Most tokens to write")
      ->check(positive());
  app->add_option("--temperature", options->generate.sampling.temperature,
                  "0 always takes the likeliest token")
      ->check(not_negative());
  app->add_option("--top-k", options->generate.sampling.top_k,
                  "Sample from so many likeliest ids; 0: all")
      ->check(not_negative());
  app->add_option("--top-p", options->generate.sampling.top_p,
                  "Sample from the likeliest ids of this probability")
      ->check(CLI::Range(0.0, 1.0));
  app->add_option("--repetition-penalty", options->generate.sampling.repetition_penalty,
                  "Above 1: ids that were there before become less likely")
      ->check(CLI::Range(0.01, 100.0));
  app->add_option("--seed", options->generate.sampling.seed, "Same seed, same text");
  app->add_option("--stop", options->stop, "End an answer before this text; may be repeated");
  app->add_option("--batch-size", options->generate.batch_size, "Prompts continued at once")
      ->check(positive());
  app->add_flag("--json", options->json, "One JSON object per prompt");
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      commands::generate(*options, std::cout, log);
      return 0;
    };
  });
}

}  // namespace distill::cli
