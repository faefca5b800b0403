#pragma once

#include <optional>
#include <string>

#include <distill/eval/set_summary.h>

namespace distill::commands {

/// A model on a set, and perhaps its teacher.
struct SetComparison {
  eval::SetSummary student;
  std::optional<eval::SetSummary> teacher = {};
  std::optional<eval::SetSummary> difference = {};  ///< student minus teacher
};

/// For people: the figures with their intervals, then the main one by category.
std::string set_table(const SetComparison& sets);

/// One JSON object: the student's figures, `teacher` and `difference` with theirs.
std::string set_json(const SetComparison& sets);

}  // namespace distill::commands
