#include <distill/pipeline/train_command.h>

#include <algorithm>

#include <distill/core/paths.h>
#include <distill/pipeline/pipeline_plan.h>
#include <distill/pipeline/plan.h>
#include <distill/pipeline/run_pipeline.h>
#include <distill/recipe/read.h>
#include <distill/recipe/write.h>

#include "pipeline/check_recipe.h"
#include "pipeline/error_message.h"
#include "pipeline/memory.h"
#include "pipeline/tokenizing_progress.h"
#include "pipeline/tries.h"

namespace distill::pipeline {

namespace fs = std::filesystem;

namespace {

std::string result_text(const RunResult& result, const std::string& distill) {
  const std::string model = result.base.empty() ? result.model.string()
                                                : core::concat(result.base.string(), " --adapter ",
                                                               result.model.string());
  const fs::path page = result.folder / "report.html";
  return core::concat("\n", report_table(result.report),
                      result.base.empty() ? "\nstudent: " : "\nadapter: ", result.model.string(),
                      core::path_exists(page) ? "\nlook at it: " + page.string() : std::string(),
                      "\ntalk to it: ", distill, " generate --model ", model,
                      " --prompt \"...\"\n");
}

/// A run may replace or move everything in its folder, so nothing of the user's may be there.
void require_recipe_outside(const fs::path& recipe, const fs::path& output) {
  std::error_code code;
  const fs::path file = fs::weakly_canonical(recipe, code);
  const fs::path folder = code ? fs::path() : fs::weakly_canonical(output, code);
  if (code || file == folder / "recipe.yaml") return;  // the run's own, or RunFolder refuses it
  const auto [in_folder, in_file] =
      std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  if (in_folder != folder.end()) return;
  fail<ConfigError>("output: ", core::shown(output), " is the folder of the recipe ",
                    core::shown(recipe), "; a run needs a folder of its own");
}

/// For a dry run, which has no folder to go on with.
void stop_if_asked(const core::StopFlag* stop) {
  if (stop == nullptr || !stop->requested()) return;
  fail<Interrupted>("stopped by signal ", stop->reason());
}

}  // namespace

namespace {

std::string run_one(const recipe::Recipe& recipe, const TrainCommand& command, core::Logger& log) {
  require_recipe_outside(command.recipe, recipe.output);
  if (!command.redo.empty()) {
    fail<InputError>("--redo ", core::printable(command.redo.front()),
                     ": the recipe has no stages; use --restart");
  }
  if (command.dry_run) {
    check_recipe(recipe, command.run.policy);
    TokenizingProgress progress(command.run, log);
    require_tries(recipe, command.run, log);
    Plan plan =
        make_plan(recipe, log, progress.hooks([&command] { stop_if_asked(command.run.stop); }));
    plan.memory_warning =
        memory_trouble(plan.memory, plan.models.device, command.run.available_memory).text;
    return command.json ? plan_json(recipe, plan) : plan_text(recipe, plan);
  }
  const RunResult result = run_recipe(recipe, command.run, log);
  if (result.was_finished) {
    log.info(result.folder.string(), ": this run is done; add --restart to do it again");
  }
  return command.json ? to_json(result.report) : result_text(result, command.distill);
}

std::string result_text(const PipelineResult& result, const std::string& distill) {
  std::string text = core::concat("\n", stage_table(result));
  if (result.final_stage.empty()) return text;
  const std::string model = result.base.empty() ? result.model.string()
                                                : core::concat(result.base.string(), " --adapter ",
                                                               result.model.string());
  return core::concat(text,
                      result.base.empty() ? "\nstudent: " : "\nadapter: ", result.model.string(),
                      " (of stage ", result.final_stage, ")\ntalk to it: ", distill,
                      " generate --model ", model, " --prompt \"...\"\n");
}

std::string run_chain(const recipe::PipelineRecipe& recipe, const TrainCommand& command,
                      core::Logger& log) {
  if (!recipe.problems.empty()) {
    log.info("problems so far: ", recipe.problems.size(),
             "; looking at the stages that can be read");
  } else {
    require_recipe_outside(command.recipe, recipe.output);
  }
  if (command.dry_run) {
    const PipelinePlan plan = plan_pipeline(recipe, command.redo, command.run, log);
    return command.json ? plan_json(recipe, plan) : plan_text(recipe, plan);
  }
  const PipelineResult result = run_pipeline(recipe, command.redo, command.run, log);
  return command.json ? to_json(result) : result_text(result, command.distill);
}

}  // namespace

std::string run_train_command(const TrainCommand& command, core::Logger& log) {
  const recipe::Registries registries = recipe::builtin_registries();
  const recipe::AnyRecipe any =
      recipe::read_for_plan_file(command.recipe, command.overrides, registries);
  if (const auto* chain = std::get_if<recipe::PipelineRecipe>(&any)) {
    return run_chain(*chain, command, log);
  }
  return run_one(std::get<recipe::Recipe>(any), command, log);
}

std::string builtin_recipe_reference() {
  return recipe::recipe_reference(recipe::builtin_registries());
}

std::string error_lines(const std::exception& error, bool verbose) {
  const std::string message = error_message(error, verbose);
  std::string out;
  for (std::size_t begin = 0; begin < message.size();) {
    const std::size_t end = std::min(message.find('\n', begin), message.size());
    if (end > begin) {
      out += "error: " + core::without_controls(message.substr(begin, end - begin)) + "\n";
    }
    begin = end + 1;
  }
  return out.empty() ? "error: unknown\n" : out;
}

int exit_code(const std::exception& error) {
  const auto* ours = dynamic_cast<const Error*>(&error);
  return ours != nullptr ? ours->exit_code() : 1;
}

}  // namespace distill::pipeline
