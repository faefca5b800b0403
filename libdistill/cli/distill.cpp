// The `distill` command: arguments to calls, nothing else.
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include <distill/commands/augment.h>
#include <distill/commands/cache.h>
#include <distill/commands/evaluate.h>
#include <distill/commands/export_model.h>
#include <distill/commands/generate.h>
#include <distill/commands/generate_data.h>
#include <distill/commands/inspect.h>
#include <distill/commands/logits.h>
#include <distill/commands/tokenize.h>
#include <distill/core/byte_size.h>
#include <distill/core/error.h>
#include <distill/core/output.h>
#include <distill/core/stop_flag.h>
#include <distill/pipeline/train_command.h>

#include "user_cache.h"

namespace {

using namespace distill;

/// A parsed sub-command, ready to run; returns the exit code.
using Action = std::function<int(core::Logger&)>;

/// `Dtype` is a c10::ScalarType, or an optional one.
template <class Dtype>
CLI::Option* add_dtype(CLI::App& app, Dtype& dtype) {
  static const std::map<std::string, c10::ScalarType> kNames = {
      {"fp32", c10::ScalarType::Float}, {"bf16", c10::ScalarType::BFloat16}};
  return app.add_option("--dtype", dtype, "Type of weights and activations: fp32 or bf16")
      ->transform(CLI::CheckedTransformer(kNames, CLI::ignore_case));
}

void add_quantize(CLI::App& app, std::optional<ops::WeightFormat>& quantize) {
  static const std::map<std::string, ops::WeightFormat> kNames = {
      {"int8", ops::WeightFormat::kInt8},
      {"fp8", ops::WeightFormat::kFp8},
      {"nf4", ops::WeightFormat::kNf4}};
  app.add_option("--quantize", quantize,
                 "Hold the model's projections in few bits: int8, fp8 or nf4")
      ->transform(CLI::CheckedTransformer(kNames, CLI::ignore_case));
}

/// The way out for those who have swap.
void add_ignore_memory(CLI::App& app, std::optional<std::uint64_t>& available_memory) {
  const auto ignore = [&available_memory](std::int64_t) {
    available_memory = std::numeric_limits<std::uint64_t>::max();
  };
  app.add_flag_function("--ignore-memory", ignore,
                        "Load a model that needs more memory than is available");
}

void add_adapter(CLI::App& app, commands::AdapterSource& adapter, const char* what) {
  auto* folder = app.add_option("--adapter", adapter.folder, what);
  app.add_flag("--any-base", adapter.any_base,
               "Take an adapter that was trained on another base of the same shapes")
      ->needs(folder);
}

void add_device(CLI::App& app, recipe::Device& device) {
  static const std::map<std::string, recipe::Device> kNames = {{"auto", recipe::Device::kAuto},
                                                               {"cpu", recipe::Device::kCpu},
                                                               {"cuda", recipe::Device::kCuda}};
  app.add_option("--device", device, "auto, cpu or cuda: the first GPU")
      ->transform(CLI::CheckedTransformer(kNames, CLI::ignore_case));
}

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

void add_logits(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("logits", "Logits of id sequences, as safetensors");
  auto options = std::make_shared<commands::LogitsOptions>();
  app->add_option("--model", options->model, "Model folder")->required();
  add_adapter(*app, options->adapter, "Adapter folder");
  app->add_option("--ids", options->ids, "One sequence of ids a line")->required();
  app->add_option("--out", options->out, "Safetensors file to write")->required();
  add_dtype(*app, options->dtype);
  add_quantize(*app, options->quantize);
  add_ignore_memory(*app, options->available_memory);
  add_device(*app, options->device);
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      commands::write_logits(*options, log);
      return 0;
    };
  });
}

void add_generate(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("generate", "Continue a prompt or answer conversations");
  auto options = std::make_shared<commands::GenerateCommandOptions>();
  app->add_option("--model", options->model, "Model folder")->required();
  add_adapter(*app, options->adapter, "Adapter folder");
  auto* source = app->add_option_group("source");
  source->add_option("--prompt", options->prompt, "Text to continue");
  source->add_option("--chat", options->chat, "JSONL with `messages`");
  source->require_option(1);
  app->add_option("--chat-template", options->chat_template,
                  "auto, chatml, llama3, deepseek, mistral, qwen3 or none");
  app->add_option("--max-new-tokens", options->generate.max_new_tokens, "Most tokens to write")
      ->check(CLI::PositiveNumber);
  app->add_option("--temperature", options->generate.sampling.temperature,
                  "0 always takes the likeliest token")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--top-k", options->generate.sampling.top_k,
                  "Sample from so many likeliest ids; 0: all")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--top-p", options->generate.sampling.top_p,
                  "Sample from the likeliest ids of this probability")
      ->check(CLI::Range(0.0, 1.0));
  app->add_option("--repetition-penalty", options->generate.sampling.repetition_penalty,
                  "Above 1: ids that were there before become less likely")
      ->check(CLI::Range(0.01, 100.0));
  app->add_option("--seed", options->generate.sampling.seed, "Same seed, same text");
  app->add_option("--stop", options->stop, "End an answer before this text; may be repeated");
  app->add_option("--batch-size", options->generate.batch_size, "Prompts continued at once")
      ->check(CLI::PositiveNumber);
  app->add_flag("--json", options->json, "One JSON object per prompt");
  add_dtype(*app, options->dtype);
  add_quantize(*app, options->quantize);
  add_ignore_memory(*app, options->available_memory);
  add_device(*app, options->device);
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      commands::generate(*options, std::cout, log);
      return 0;
    };
  });
}

void add_eval(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("eval", "Measure a model on held-out text");
  auto options = std::make_shared<commands::EvaluateCommandOptions>();
  app->add_option("--model", options->model, "Model folder")->required();
  add_adapter(*app, options->adapter, "Adapter folder");
  app->add_option("--teacher", options->teacher, "Teacher's folder: adds KL and agreement");
  app->add_option("--data", options->data, "JSONL files")->required();
  app->add_option("--task", options->task, "perplexity or agreement")
      ->check(CLI::IsMember({"perplexity", "agreement"}));
  app->add_option("--chat-template", options->chat_template,
                  "auto, chatml, llama3, deepseek, mistral, qwen3 or none");
  app->add_option("--sequence-length", options->sequence_length, "Tokens of one row")
      ->check(CLI::Range(2, 1 << 20));
  app->add_option("--max-rows", options->max_rows, "0: all")->check(CLI::NonNegativeNumber);
  app->add_flag("--json", options->json, "Write one JSON object");
  add_dtype(*app, options->dtype);
  add_quantize(*app, options->quantize);
  add_ignore_memory(*app, options->available_memory);
  add_device(*app, options->device);
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      commands::evaluate_model(*options, std::cout, log);
      return 0;
    };
  });
}

core::StopFlag stop_flag;  // a signal handler has nothing else to reach it by

void on_signal(int signal) {
  stop_flag.request(signal);
  std::signal(signal, SIG_DFL);  // the second one ends the program at once
}

/// The key itself is in no argument: those are shown to everybody on the machine.
std::string read_api_key(const std::string& variable) {
  if (variable.empty()) return "";
  const char* key = std::getenv(variable.c_str());
  if (key != nullptr && *key != '\0') return key;
  // Not named: it may be a key that was given by mistake.
  fail<InputError>(
      "the environment variable that --api-key-env names is not set; give the name of the one that "
      "holds the key");
}

/// What only a model that is served has.
struct ServerArguments {
  commands::ServerGeneratorOptions generator;
  std::string api_key_env;
};

CLI::Option* add_server(CLI::App& app, ServerArguments& arguments) {
  auto& server = arguments.generator.server;
  auto* url = app.add_option("--url", server.url,
                             "Ask an OpenAI-compatible server, such as http://127.0.0.1:8000/v1");
  app.add_option("--api-key-env", arguments.api_key_env,
                 "Name of the environment variable that holds its key")
      ->needs(url);
  app.add_option("--parallel", server.parallel, "Requests at one time")
      ->needs(url)
      ->check(CLI::Range(1, 1024));
  app.add_option("--retries", server.retry.max_retries, "Of one request, when the server fails")
      ->needs(url)
      ->check(CLI::NonNegativeNumber);
  app.add_option("--timeout", server.timeout_seconds, "Seconds for one answer")
      ->needs(url)
      ->check(CLI::PositiveNumber);
  return url;
}

/// The generator that the arguments describe; `local` holds what both kinds have.
std::unique_ptr<commands::TextGenerator> make_generator(
    ServerArguments& arguments, const commands::LocalGeneratorOptions& local, core::Logger& log) {
  if (arguments.generator.server.url.empty()) return commands::make_local_generator(local);
  commands::ServerGeneratorOptions& options = arguments.generator;
  options.server.model = local.model.string();
  options.server.api_key = read_api_key(arguments.api_key_env);
  options.chat_template = local.chat_template;
  options.max_new_tokens = local.generate.max_new_tokens;
  options.temperature = local.generate.sampling.temperature;
  options.top_p = local.generate.sampling.top_p;
  return commands::make_server_generator(options, log, &stop_flag);
}

/// A generator, local or served, as its arguments describe it.
struct GeneratorArguments {
  commands::LocalGeneratorOptions local;
  ServerArguments server;
};

std::shared_ptr<GeneratorArguments> add_generator(CLI::App& app) {
  auto arguments = std::make_shared<GeneratorArguments>();
  commands::LocalGeneratorOptions& local = arguments->local;
  local.generate.sampling.temperature = 0.7;
  local.generate.sampling.top_p = 0.9;
  app.add_option("--model", local.model, "Model folder; with --url what the server calls it")
      ->required();
  auto* url = add_server(app, arguments->server);
  app.add_option("--temperature", local.generate.sampling.temperature, "0: the likeliest words")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", local.generate.sampling.top_p, "Sample from the likeliest ids")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--max-new-tokens", local.generate.max_new_tokens, "Most tokens of a text")
      ->check(CLI::PositiveNumber);
  app.add_option("--batch-size", local.generate.batch_size, "Texts written at once")
      ->excludes(url)
      ->check(CLI::PositiveNumber);
  app.add_option("--chat-template", local.chat_template, "auto, chatml or none");
  add_dtype(app, local.dtype)->excludes(url);
  return arguments;
}

/// What commands that write rows for a long time have in common; `Options` of one of them.
template <class Options>
void add_parts(CLI::App& app, Options& options) {
  app.add_option("--seed", options.seed, "Same seed, same texts");
  app.add_option("--rows-at-once", options.rows_at_once, "Rows of a part; a stop costs one part")
      ->check(CLI::PositiveNumber);
  app.add_flag("--restart", options.restart, "Begin anew where an unfinished run is");
}

/// Its progress is shown, and signals stop it.
template <class Options>
void watch(Options& options) {
  options.stop = &stop_flag;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  options.progress.terminal = ::isatty(STDERR_FILENO) != 0;
  options.progress.output = [](std::string_view text) { std::cerr << text << std::flush; };
}

void add_augment(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("augment", "Say texts in other words, by way of another language");
  auto options = std::make_shared<commands::AugmentOptions>();
  auto model = add_generator(*app);
  auto json = std::make_shared<bool>(false);
  app->add_option("--data", options->data, "JSONL file")->required();
  app->add_option("--out", options->out, "JSONL file to write; must not exist")->required();
  app->add_option("--field", options->fields, "Member to rewrite; may be repeated");
  app->add_option("--language", options->language, "Language of the texts");
  app->add_option("--via", options->via, "Language they are translated into and back from");
  app->add_option("--prompt", options->prompt, "What the model is told: {text}, {from}, {to}");
  app->add_option("--back-prompt", options->back_prompt, "The same for the way back");
  app->add_option("--copies", options->copies, "Tries for each row")->check(CLI::PositiveNumber);
  app->add_option("--min-length", options->min_length, "Least length of a new text, relative");
  app->add_option("--max-length", options->max_length, "Greatest length, relative");
  add_parts(*app, *options);
  app->add_flag("--json", *json, "Write one JSON object");
  app->callback([&action, options, model, json] {
    action = [options, model, json](core::Logger& log) {
      watch(*options);
      const auto generator = make_generator(model->server, model->local, log);
      commands::print_result(commands::augment(*options, *generator, log), *json, std::cout);
      return 0;
    };
  });
}

void add_cache(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("cache", "Keep what a recipe's teacher says, for training");
  auto options = std::make_shared<commands::CacheCommandOptions>();
  app->add_option("RECIPE", options->recipe, "YAML recipe with `teacher: {kind: cache, ...}`")
      ->required();
  app->add_option("OVERRIDES", options->overrides, "path.to.key=value ...");
  app->add_flag("--restart", options->restart, "Begin anew where a cache is");
  app->add_flag("--json", options->json, "Write one JSON object");
  add_ignore_memory(*app, options->available_memory);
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      options->stop = &stop_flag;
      std::signal(SIGINT, on_signal);
      std::signal(SIGTERM, on_signal);
      options->token_cache = user_token_cache();
      options->progress.terminal = ::isatty(STDERR_FILENO) != 0;
      options->progress.output = [](std::string_view text) { std::cerr << text << std::flush; };
      commands::run_cache_command(*options, std::cout, log);
      return 0;
    };
  });
}

/// Who says how likely an answer is: the model that is named, or a local generator's own. A served
/// one says it itself: null.
std::unique_ptr<commands::AnswerJudge> make_judge(const commands::GenerateDataOptions& options,
                                                  const std::string& folder,
                                                  const GeneratorArguments& model) {
  const bool served = !model.server.generator.server.url.empty();
  if (!options.min_likelihood || (folder.empty() && served)) return nullptr;
  commands::LocalJudgeOptions judge;
  judge.model = folder.empty() ? model.local.model : std::filesystem::path(folder);
  if (folder.empty()) judge.chat_template = model.local.chat_template;
  judge.dtype = model.local.dtype;
  return commands::make_local_judge(judge);
}

void add_filters(CLI::App& app, commands::GenerateDataOptions& options, std::string& judge) {
  app.add_option("--min-tokens", options.min_tokens, "Least tokens of an answer")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-tokens", options.max_tokens, "Most tokens of an answer that is kept")
      ->check(CLI::PositiveNumber);
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

void add_generate_data(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("generate-data", "A teacher's answers, as training rows");
  auto options = std::make_shared<commands::GenerateDataOptions>();
  auto model = add_generator(*app);
  auto judge = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  app->add_option("--prompts", options->prompts, "JSONL with `messages` or `prompt`")->required();
  app->add_option("--out", options->out, "JSONL file to write; must not exist")->required();
  app->add_option("--samples", options->samples, "Answers to each prompt")
      ->check(CLI::PositiveNumber);
  add_filters(*app, *options, *judge);
  add_parts(*app, *options);
  app->add_flag("--json", *json, "Write one JSON object");
  app->callback([&action, options, model, judge, json] {
    action = [options, model, judge, json](core::Logger& log) {
      watch(*options);
      model->server.generator.log_probs = options->min_likelihood && judge->empty();
      const auto generator = make_generator(model->server, model->local, log);
      const auto judging = make_judge(*options, *judge, *model);
      const auto result = commands::generate_data(*options, *generator, judging.get(), log);
      commands::print_result(result, *json, std::cout);
      return 0;
    };
  });
}

void add_export(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand("export", "Write a model folder anew: other dtype, other shards");
  auto options = std::make_shared<commands::ExportOptions>();
  app->add_option("--model", options->model, "Model folder")->required();
  add_adapter(*app, options->adapter, "Adapter folder to merge into the weights");
  app->add_option("--out", options->out, "Folder to write")->required();
  app->add_flag("--force", options->force, "Replace the folder if it exists");
  add_dtype(*app, options->dtype);
  add_ignore_memory(*app, options->available_memory);
  const auto set_shard_size = [options](const std::string& text) {
    const auto bytes = core::parse_byte_size(text);
    if (!bytes || *bytes == 0) {
      throw CLI::ValidationError("--max-shard-size", "is `" + text + "`, expected a size as 5GB");
    }
    options->max_shard_bytes = *bytes;
  };
  app->add_option_function<std::string>("--max-shard-size", set_shard_size,
                                        "Split the weights into files of at most this size (5GB)");
  app->callback([&action, options] {
    action = [options](core::Logger& log) {
      commands::export_model(*options, log);
      return 0;
    };
  });
}

void add_inspect(CLI::App& cli, Action& action) {
  auto* app = cli.add_subcommand(
      "inspect", "Say what a model, adapter, cache or run folder or a data file is");
  auto options = std::make_shared<commands::InspectOptions>();
  app->add_option("path", options->path, "Folder or file")->required();
  app->add_flag("--check", options->check, "Read all of it and list every problem");
  app->add_option("--model", options->model, "Base model or tokenizer, where one is needed");
  app->add_option("--sample", options->sample,
                  "Show the tokens of this row of a data file and which are learned (with --model)")
      ->check(CLI::PositiveNumber);
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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Tools around distilled models", "distill");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", DISTILL_VERSION);
  bool verbose = false;
  app.add_flag("--verbose", verbose, "More messages, and back-traces with errors");
  Action action;
  for (auto* add : {add_tokenize, add_logits, add_generate, add_eval, add_augment,
                    add_generate_data, add_cache, add_export, add_inspect})
    add(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app.exit(error);  // prints the help or the version
      return std::cout.flush() ? 0 : 1;
    }
    std::cerr << "error: " << error.what() << "; see distill --help\n";
    return 2;
  }
  const auto level = verbose ? core::LogLevel::kDebug : core::LogLevel::kInfo;
  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  const auto log =
      core::make_console_logger({level, terminal && std::getenv("NO_COLOR") == nullptr, terminal});
  try {
    const int code = action(*log);
    core::finish_output(std::cout, "standard output");
    return code;
  } catch (const std::exception& error) {
    std::cerr << pipeline::error_lines(error, verbose);
    return pipeline::exit_code(error);
  }
}
