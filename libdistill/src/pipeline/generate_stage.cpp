#include "pipeline/generate_stage.h"

#include <filesystem>
#include <memory>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/generation/answer_judge.h>
#include <distill/generation/generate_data.h>
#include <distill/text/chat_template.h>

#include "pipeline/tokenizing_progress.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

/// The key of a server, where the recipe names one.
std::string secret_of(const recipe::ServerTeacherOptions& server, const RunOptions& options) {
  if (server.api_key_env.empty()) return "";
  const std::string key = options.secret ? options.secret(server.api_key_env) : "";
  if (key.empty()) {
    fail<InputError>(
        "teacher.api_key_env: the environment variable that it names is not set; set it "
        "to the key of the server");
  }
  return key;
}

std::unique_ptr<generation::TextGenerator> make_generator(const recipe::GenerateRecipe& recipe,
                                                          const RunOptions& options,
                                                          core::Logger& log) {
  const recipe::AnswerOptions& asked = recipe.generate;
  if (const auto* server = recipe.teacher.options<recipe::ServerTeacherOptions>()) {
    generation::ServerGeneratorOptions how;
    how.server.url = server->url;
    how.server.model = server->model;
    how.server.api_key = secret_of(*server, options);
    how.server.parallel = server->parallel;
    how.server.retry.max_retries = server->retries;
    how.server.timeout_seconds = server->timeout_seconds;
    how.chat_template = asked.chat_template;
    how.max_new_tokens = asked.max_new_tokens;
    how.temperature = asked.temperature;
    how.top_p = asked.top_p;
    how.log_probs = asked.min_likelihood.has_value();
    return generation::make_server_generator(how, log, options.stop);
  }
  generation::LocalGeneratorOptions how;
  how.model = recipe.teacher.options<recipe::LocalTeacherOptions>()->model;
  how.chat_template = asked.chat_template;
  how.dtype = recipe::dtype_of(recipe.precision);
  how.device = recipe::choose_device(recipe.device);
  how.generate.max_new_tokens = asked.max_new_tokens;
  how.generate.batch_size = asked.batch_size;
  how.generate.sampling.temperature = asked.temperature;
  how.generate.sampling.top_p = asked.top_p;
  return generation::make_local_generator(how);
}

/// A local teacher judges its own answers; a server says itself how likely they were.
std::unique_ptr<generation::AnswerJudge> make_judge(const recipe::GenerateRecipe& recipe) {
  const auto* local = recipe.teacher.options<recipe::LocalTeacherOptions>();
  if (local == nullptr || !recipe.generate.min_likelihood) return nullptr;
  return generation::make_local_judge({.model = local->model,
                                       .chat_template = recipe.generate.chat_template,
                                       .dtype = recipe::dtype_of(recipe.precision)});
}

}  // namespace

void run_generate(const recipe::Stage& stage, const RunOptions& options, core::Logger& log) {
  // It appears whole or not at all: a process ended between this and its note in the manifest.
  if (core::path_exists(stage.output())) return;
  const auto& recipe = std::get<recipe::GenerateRecipe>(stage.recipe);
  generation::GenerateDataOptions how;
  how.prompts = recipe.generate.prompts;
  how.out = stage.output();
  how.samples = recipe.generate.samples;
  how.min_tokens = recipe.generate.min_tokens;
  how.max_tokens = recipe.generate.max_tokens;
  how.max_repetition = recipe.generate.max_repetition;
  how.answer_regex = recipe.generate.answer_regex;
  how.min_likelihood = recipe.generate.min_likelihood;
  how.seed = static_cast<std::uint64_t>(recipe.seed);
  how.rows_at_once = recipe.generate.rows_at_once;
  how.stop = options.stop;
  how.progress = bar_options("", options, log);
  how.progress.whole_eta = options.whole_eta;
  const auto generator = make_generator(recipe, options, log);
  const auto judge = make_judge(recipe);
  const auto result = generation::generate_data(how, *generator, judge.get(), log);
  if (result.written > 0) return;
  fs::remove(how.out);
  fail<Error>(how.out.string(), ": no answer was good enough; ask for more, or filter less");
}

void check_generator(const recipe::GenerateRecipe& recipe) {
  const auto* local = recipe.teacher.options<recipe::LocalTeacherOptions>();
  if (local == nullptr) return;
  try {
    text::load_chat_template(local->model, recipe.generate.chat_template);
  } catch (const InputError& error) {
    fail<ConfigError>("generate.chat_template: ", error.what());
  }
}

void check_secret(const recipe::Stage& stage, const RunOptions& options) {
  std::visit(
      [&options](const auto& any) {
        if constexpr (requires { any.teacher; }) {
          const auto* server = any.teacher.template options<recipe::ServerTeacherOptions>();
          if (server != nullptr) secret_of(*server, options);
        }
      },
      stage.recipe);
}

}  // namespace distill::pipeline
