#pragma once

#include <optional>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/data/row_reading.h>
#include <distill/eval/evaluation_set.h>
#include <distill/eval/set_options.h>

namespace distill::recipe {

/// A set of the recipe, read for the student and, where that is a model of its own in this process,
/// for the teacher.
struct NamedSet {
  eval::NamedSetOptions options;
  eval::EvaluationSet student;
  /// Nothing: there is no such teacher, or perplexity of other tokens would be compared.
  std::optional<eval::EvaluationSet> teacher = {};
};

}  // namespace distill::recipe
