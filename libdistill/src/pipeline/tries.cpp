#include "pipeline/tries.h"

#include <algorithm>

#include <distill/core/error.h>
#include <distill/core/interrupted.h>
#include <distill/core/strings.h>
#include <distill/pipeline/plan.h>
#include <distill/recipe/read.h>
#include <distill/recipe/wiring.h>

#include "pipeline/gates.h"
#include "pipeline/problem_lines.h"
#include "pipeline/tokenizing_progress.h"

namespace distill::pipeline {

using core::concat;

bool Try::reads_same_data() const {
  return std::ranges::all_of(set, [](const std::string& setting) {
    return setting.starts_with("train.") || setting.starts_with("seed=");
  });
}

std::vector<std::string> try_problems(const recipe::Recipe& recipe, const recipe::SourceMap& source,
                                      const std::function<void(const Try&)>& check) {
  std::vector<std::string> problems;
  for (std::size_t g = 0; g < recipe.gates.size(); ++g) {
    for (std::size_t s = 0; s < recipe.gates[g].with.size(); ++s) {
      const Try one{concat("gates.", g, ".with.", s), recipe.gates[g].with[s].set};
      try {
        check(one);
      } catch (const InputError& error) {
        for (const auto& line : lines_of(error.what())) {
          problems.push_back(concat(source.where(one.where), ": ", line));
        }
      }
    }
  }
  return problems;
}

void require_tries(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log) {
  const auto quiet = core::make_null_logger();
  const auto stop_if_asked = [&options] {
    if (options.stop == nullptr || !options.stop->requested()) return;
    fail<Interrupted>("stopped by signal ", options.stop->reason());
  };
  const auto problems = try_problems(recipe, recipe.source, [&](const Try& one) {
    const recipe::Recipe changed = recipe::changed_recipe(recipe, one.set);
    if (one.reads_same_data()) {
      recipe::plan_models(changed);
    } else {
      TokenizingProgress progress(options, log);
      make_plan(changed, *quiet, progress.hooks(stop_if_asked));
    }
    require_gates(changed);
  });
  if (!problems.empty()) throw ConfigError(core::join(problems, "\n"));
}

}  // namespace distill::pipeline
