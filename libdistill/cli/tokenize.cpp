#include <iostream>
#include <memory>

#include <distill/commands/tokenize.h>

#include "commands.h"

namespace distill::cli {

void add_tokenize(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("tokenize", "Text on stdin to ids on stdout, a line each");
  auto options = std::make_shared<commands::TokenizeOptions>();
  app->add_option("--model", options->model, "Folder with the tokenizer")->required();
  app->add_flag("!--no-special", options->add_special, "Add no BOS or EOS");
  app->add_flag("--parse-special", options->parse_special,
                "Recognise special tokens in texts for a tokenizer.model too");
  app->add_flag("--jsonl", options->jsonl, "Texts are JSON objects with `text`");
  app->add_flag("--decode", options->decode, "Ids to text");
  app->add_flag("--json", options->json, "Write JSON objects");
  app->callback([&action, options] {
    action = [options](core::Logger&) {
      commands::tokenize(*options, std::cin, std::cout);
      return 0;
    };
  });
}

}  // namespace distill::cli
