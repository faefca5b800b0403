#include <distill/pipeline/train_command.h>

#include <c10/util/Exception.h>

#include <distill/pipeline/plan.h>
#include <distill/recipe/read.h>
#include <distill/recipe/write.h>

namespace distill::pipeline {

namespace {

std::string result_text(const RunResult& result) {
  return core::concat("\n", report_table(result.report), "\nstudent: ", result.model.string(),
                      "\ntalk to it: build/release/distill generate --model ",
                      result.model.string(), " --prompt \"...\"\n");
}

}  // namespace

std::string run_train_command(const TrainCommand& command, core::Logger& log) {
  const recipe::Registries registries = recipe::builtin_registries();
  const recipe::Recipe recipe =
      recipe::read_recipe_file(command.recipe, command.overrides, registries);
  if (command.dry_run) {
    const Plan plan = make_plan(recipe, log);
    return command.json ? plan_json(recipe, plan) : plan_text(recipe, plan);
  }
  const RunResult result = run_recipe(recipe, command.run, log);
  if (result.was_finished) {
    log.info(result.folder.string(), ": this run is done; add --restart to do it again");
  }
  return command.json ? to_json(result.report) : result_text(result);
}

std::string builtin_recipe_reference() {
  return recipe::recipe_reference(recipe::builtin_registries());
}

std::string error_lines(const std::exception& error, bool verbose) {
  std::string message = error.what();
  if (const auto* torch = dynamic_cast<const c10::Error*>(&error); torch != nullptr && !verbose) {
    message = torch->what_without_backtrace();
    message = message.substr(0, message.find('\n'));
  }
  std::string out;
  for (std::size_t begin = 0; begin < message.size();) {
    const std::size_t end = std::min(message.find('\n', begin), message.size());
    if (end > begin) out += "error: " + message.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return out.empty() ? "error: unknown\n" : out;
}

int exit_code(const std::exception& error) {
  const auto* ours = dynamic_cast<const Error*>(&error);
  return ours != nullptr ? ours->exit_code() : 1;
}

}  // namespace distill::pipeline
