#include "generator_arguments.h"

#include <cstdlib>

#include <distill/core/error.h>

#include "limits.h"
#include "model_arguments.h"

namespace distill::cli {

namespace {

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
      ->check(not_negative());
  app.add_option("--timeout", server.timeout_seconds, "Seconds for one answer")
      ->needs(url)
      ->check(positive());
  return url;
}

}  // namespace

std::shared_ptr<GeneratorArguments> add_generator(CLI::App& app) {
  auto arguments = std::make_shared<GeneratorArguments>();
  generation::LocalGeneratorOptions& local = arguments->local;
  local.generate.sampling.temperature = 0.7;
  local.generate.sampling.top_p = 0.9;
  app.add_option("--model", local.model, "Model folder; with --url what the server calls it")
      ->required();
  auto* url = add_server(app, arguments->server);
  app.add_option("--temperature", local.generate.sampling.temperature, "0: the likeliest words")
      ->check(not_negative());
  app.add_option("--top-p", local.generate.sampling.top_p, "Sample from the likeliest ids")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--max-new-tokens", local.generate.max_new_tokens, "Most tokens of a text")
      ->check(positive());
  app.add_option("--batch-size", local.generate.batch_size, "Texts written at once")
      ->excludes(url)
      ->check(positive());
  app.add_option("--chat-template", local.chat_template, "auto, chatml or none");
  add_dtype(app, local.dtype)->excludes(url);
  return arguments;
}

std::unique_ptr<generation::TextGenerator> make_generator(GeneratorArguments& all,
                                                          const core::StopFlag* stop,
                                                          core::Logger& log) {
  const generation::LocalGeneratorOptions& local = all.local;
  ServerArguments& arguments = all.server;
  if (arguments.generator.server.url.empty()) return generation::make_local_generator(local);
  generation::ServerGeneratorOptions& options = arguments.generator;
  options.server.model = local.model.string();
  options.server.api_key = read_api_key(arguments.api_key_env);
  options.chat_template = local.chat_template;
  options.max_new_tokens = local.generate.max_new_tokens;
  options.temperature = local.generate.sampling.temperature;
  options.top_p = local.generate.sampling.top_p;
  return generation::make_server_generator(options, log, stop);
}

}  // namespace distill::cli
