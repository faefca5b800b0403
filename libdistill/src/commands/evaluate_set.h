#pragma once

#include <distill/commands/evaluate.h>

#include "commands/set_table.h"

namespace distill::commands {

/// `distill eval --task choice|bias`: the model, and after it the teacher where one is given, each
/// with its own tokenizer. Throws as eval::EvaluationSet::load does.
SetComparison evaluate_set(const EvaluateCommandOptions& options, core::Logger& log);

}  // namespace distill::commands
