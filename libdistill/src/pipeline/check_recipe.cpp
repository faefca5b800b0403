#include "pipeline/check_recipe.h"

#include <filesystem>
#include <string>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/recipe/wiring.h>

#include "pipeline/gates.h"
#include "pipeline/problem_lines.h"
#include "pipeline/stage_inputs.h"

namespace distill::pipeline {

void check_recipe(const recipe::Recipe& recipe, StartPolicy policy) {
  const std::filesystem::path output = recipe.output;
  std::vector<std::string> problems;
  if (policy == StartPolicy::kRestart || !core::path_exists(output / "report.json")) {
    problems = missing_inputs(
        {.name = recipe.name, .recipe = recipe, .folder = output, .source = recipe.source}, output);
  }
  if (problems.empty()) {  // or the same would be told again in other words
    try {
      recipe::plan_models(recipe);
    } catch (const InputError& error) {
      for (const auto& line : lines_of(error.what())) {
        problems.push_back(located(recipe.source, line));
      }
    }
  }
  try {
    for (auto& problem : gate_problems(recipe)) problems.push_back(std::move(problem));
  } catch (const InputError& error) {  // what is measured hangs on a teacher's cache
    if (problems.empty()) problems.emplace_back(error.what());
  }
  if (!problems.empty()) throw ConfigError(core::join(problems, "\n"));
}

}  // namespace distill::pipeline
