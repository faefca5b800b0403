#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include <distill/generation/generate_data.h>

#include "commands.h"
#include "generator_arguments.h"
#include "limits.h"
#include "signals.h"

namespace distill::cli {

namespace {

/// Who says how likely an answer is: the model that is named, or a local generator's own. A served
/// one says it itself: null.
std::unique_ptr<generation::AnswerJudge> make_judge(const generation::GenerateDataOptions& options,
                                                    const std::string& folder,
                                                    const GeneratorArguments& model) {
  const bool served = !model.server.generator.server.url.empty();
  if (!options.min_likelihood || (folder.empty() && served)) return nullptr;
  generation::LocalJudgeOptions judge;
  judge.model = folder.empty() ? model.local.model : std::filesystem::path(folder);
  if (folder.empty()) judge.chat_template = model.local.chat_template;
  judge.dtype = model.local.dtype;
  return generation::make_local_judge(judge);
}

void add_filters(CLI::App& app, generation::GenerateDataOptions& options, std::string& judge) {
  app.add_option("--min-tokens", options.min_tokens, "Least tokens of an answer")
      ->check(not_negative());
  app.add_option("--max-tokens", options.max_tokens, "Most tokens of an answer that is kept")
      ->check(positive());
  app.add_option("--max-repetition", options.max_repetition,
                 "Largest share of runs of four words that were there before")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--answer-regex", options.answer_regex, "Must match somewhere in an answer");
  auto* likelihood =
      app.add_option("--min-likelihood", options.min_likelihood,
                     "Least mean log-probability of an answer's tokens, such as -1.5");
  app.add_option("--judge-model", judge, "Model folder that says how likely an answer is")
      ->needs(likelihood);
}

}  // namespace

void add_generate_data(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("generate-data", "A teacher's answers, as training rows");
  auto options = std::make_shared<generation::GenerateDataOptions>();
  auto model = add_generator(*app);
  auto judge = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  app->add_option("--prompts", options->prompts, "JSONL with `messages` or `prompt`")->required();
  app->add_option("--out", options->out, "JSONL file to write; must not exist")->required();
  app->add_option("--samples", options->samples, "Answers to each prompt")->check(positive());
  add_filters(*app, *options, *judge);
  add_parts(*app, *options);
  app->add_flag("--json", *json, "Write one JSON object");
  app->callback([&action, options, model, judge, json] {
    action = [options, model, judge, json](core::Logger& log) {
      watch(*options);
      model->server.generator.log_probs = options->min_likelihood && judge->empty();
      const auto generator = make_generator(*model, options->stop, log);
      const auto judging = make_judge(*options, *judge, *model);
      const auto result = generation::generate_data(*options, *generator, judging.get(), log);
      generation::print_result(result, *json, std::cout);
      return 0;
    };
  });
}

}  // namespace distill::cli
