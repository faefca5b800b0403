#pragma once

#include <functional>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/pipeline/run.h>
#include <distill/recipe/recipe.h>

/// The further tries that gates may ask for (`on_failure: retry`). What is wrong with the recipe of
/// one would otherwise be found when the try before it has run for days.
namespace distill::pipeline {

struct Try {
  std::string where;                    ///< `gates.0.with.1`
  const std::vector<std::string>& set;  ///< its overrides
  bool reads_same_data() const;         ///< none of them can change what is read and how
};

/// Calls `check` with every try; a line with where the try stands for each line that it throws as
/// InputError.
std::vector<std::string> try_problems(const recipe::Recipe& recipe, const recipe::SourceMap& source,
                                      const std::function<void(const Try&)>& check);

/// Of a run by itself: each try is planned as a recipe of its own. Throws ConfigError with what is
/// wrong with any; Interrupted.
void require_tries(const recipe::Recipe& recipe, const RunOptions& options, core::Logger& log);

}  // namespace distill::pipeline
