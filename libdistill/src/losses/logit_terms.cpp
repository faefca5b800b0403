#include "losses/logit_terms.h"

#include <distill/core/strings.h>

namespace distill::losses {

types::LossValue evaluate_terms(const LossInput& input, std::span<const ops::LogitTerm> terms,
                                std::span<const std::string> names, ops::Workspace& workspace) {
  ops::LinearDivergenceInput op_input;
  op_input.student_hidden = input.student.hidden;
  op_input.student_head = input.student.head;
  op_input.student_transform = input.student.transform;
  op_input.teacher = input.teacher;
  op_input.labels = input.labels;
  op_input.valid = input.mask;
  op_input.weights = input.weights;
  op_input.vocabulary = input.vocabulary;
  op_input.workspace = &workspace;
  const auto result = ops::linear_divergence(op_input, terms);
  types::LossValue value{result.total, result.count, {}};
  for (std::size_t i = 0; i < terms.size(); ++i) {
    value.parts.push_back({names[i], result.term_sums[i]});
  }
  return value;
}

types::LossValue evaluate_term(const LossInput& input, const ops::LogitTerm& term,
                               const std::string& name, ops::Workspace& workspace) {
  return evaluate_terms(input, std::span(&term, 1), std::span(&name, 1), workspace);
}

std::vector<std::string> warnings_of_term(const ops::LogitTerm& term, const std::string& name,
                                          const types::TeacherSignal& teacher) {
  const auto* top = std::get_if<types::TopKLogProbs>(&teacher);
  if (top == nullptr || term.kind == ops::LogitTermKind::kCrossEntropy) return {};
  if (top->temperature == term.temperature) return {};
  return {core::concat(
      "`", name, "` has temperature ", term.temperature, ", the teacher's top ", top->ids.size(1),
      " log-probabilities have ", top->temperature,
      ": its other ids are taken to be equally likely, the loss is approximate; a higher top_k "
      "or temperature ",
      top->temperature, " for the loss makes it better")};
}

}  // namespace distill::losses
