#include "pipeline/run_stage.h"

#include <filesystem>
#include <system_error>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/generation/answer_judge.h>
#include <distill/generation/generate_data.h>
#include <distill/lora/export_model.h>
#include <distill/pipeline/capture.h>
#include <distill/recipe/cache.h>

#include "pipeline/evaluate_run.h"
#include "pipeline/folders.h"
#include "pipeline/tokenizing_progress.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

using recipe::StageKind;

void run_capture(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log) {
  CaptureOptions capture;
  capture.token_cache = options.cache_folder;
  capture.available_memory = options.available_memory;
  capture.stop = options.stop;
  capture.progress = bar_options("", options, log);
  capture_recipe(recipe, capture, log);
}

/// The key of a server, where the recipe names one.
std::string secret_of(const recipe::ServerTeacherOptions& server, const RunOptions& options) {
  if (server.api_key_env.empty()) return "";
  const std::string key = options.secret ? options.secret(server.api_key_env) : "";
  if (key.empty()) {
    fail<InputError>("teacher.api_key_env: the environment variable that it names is not set");
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
  const auto generator = make_generator(recipe, options, log);
  const auto judge = make_judge(recipe);
  const auto result = generation::generate_data(how, *generator, judge.get(), log);
  if (result.written > 0) return;
  fs::remove(how.out);
  fail<Error>(how.out.string(), ": no answer was good enough; ask for more, or filter less");
}

/// Begins anew each time: it takes little longer than to look at what is there.
void run_merge(const recipe::Stage& stage, const RunOptions& options, core::Logger& log) {
  std::error_code error;
  fs::remove_all(stage.folder, error);
  if (error) {
    fail<IoError>(stage.folder.string(), ": could not remove it: ", error.message());
  }
  make_folder(stage.folder);
  const auto& recipe = std::get<recipe::MergeRecipe>(stage.recipe);
  lora::ExportOptions how;
  how.model = recipe.model;
  how.adapter = {.folder = recipe.adapter};
  how.out = stage.output();
  how.available_memory = options.available_memory;
  if (recipe.dtype == recipe::MergeDtype::kFp32) how.dtype = c10::ScalarType::Float;
  if (recipe.dtype == recipe::MergeDtype::kBf16) how.dtype = c10::ScalarType::BFloat16;
  lora::export_model(how, log);
}

}  // namespace

std::optional<Report> run_stage(const recipe::Stage& stage, const RunOptions& options,
                                core::Logger& log) {
  if (stage.kind == StageKind::kTrain) return run_recipe(stage.run(), options, log).report;
  if (stage.kind == StageKind::kEvaluate) return evaluate_recipe(stage.run(), options, log);
  make_folder(stage.folder);
  switch (stage.kind) {
    case StageKind::kCache:
      run_capture(stage.run(), options, log);
      break;
    case StageKind::kGenerate:
      run_generate(stage, options, log);
      break;
    case StageKind::kMerge:
      run_merge(stage, options, log);
      break;
    case StageKind::kTrain:
    case StageKind::kEvaluate:
      break;
  }
  return std::nullopt;
}

std::vector<fs::path> result_files(const recipe::Stage& stage) {
  switch (stage.result()) {
    case recipe::StageResult::kModel:
    case recipe::StageResult::kAdapter: {
      std::vector<fs::path> files;
      for (const auto& path : core::list_folder(stage.output())) files.push_back(path);
      return files;
    }
    case recipe::StageResult::kCache:  // its description has a hash of all
      return {stage.output() / "cache.json"};
    case recipe::StageResult::kRows:
      return {stage.output()};
    case recipe::StageResult::kNothing:
      break;
  }
  return {stage.folder / "report.json"};
}

}  // namespace distill::pipeline
