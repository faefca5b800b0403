#include <iostream>
#include <memory>

#include <unistd.h>

#include <distill/commands/inspect.h>

#include "commands.h"
#include "limits.h"

namespace distill::cli {

void add_inspect(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand(
      "inspect", "Say what a model, adapter, cache or run folder or a data file is");
  auto options = std::make_shared<commands::InspectOptions>();
  app->add_option("path", options->path, "Folder or file")->required();
  app->add_flag("--check", options->check, "Read all of it and list every problem");
  app->add_option("--model", options->model, "Base model or tokenizer, where one is needed");
  app->add_option("--sample", options->sample,
                  "Show the tokens of this row of a data file and which are learned (with --model)")
      ->check(positive());
  app->add_flag("--json", options->json, "Write one JSON object");
  app->callback([&action, options] {
    action = [options](core::Logger&) {
      const auto inspection = commands::inspect(*options);
      for (const auto& problem : inspection.problems) std::cerr << "error: " << problem << '\n';
      using Form = commands::InspectionForm;
      const Form written = ::isatty(STDOUT_FILENO) != 0 ? Form::kColoured : Form::kPlain;
      return commands::print_inspection(inspection, options->json ? Form::kJson : written,
                                        std::cout);
    };
  });
}

}  // namespace distill::cli
