#pragma once

#include <vector>

#include <distill/recipe/wiring.h>

namespace distill::recipe {

/// The sets of `evaluate.sets`, read with what the student's rows are read with. Throws as
/// eval::EvaluationSet::load, ConfigError naming the set where that is not of the form.
std::vector<NamedSet> load_sets(const Recipe& recipe, const PlannedModels& models,
                                const data::RowReading& reading, core::Logger& log);

}  // namespace distill::recipe
