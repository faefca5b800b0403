#include <distill/losses/uld.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/nonzero.h>

#include <distill/core/error.h>
#include <distill/ops/sorted_divergence.h>
#include <distill/types/teacher_tokens.h>

#include "losses/aligned_chunks.h"
#include "losses/options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, UldOptions& options) {
  visit("weight", options.weight, "factor of this loss in the total; the paper's best was 1.5");
  visit("temperature", options.temperature, "divides the logits of both models");
  visit("top_k", options.top_k,
        "compare only so many of the largest probabilities, which is much faster on a CPU; 0: all");
}

void validate(const UldOptions& options, core::Problems& problems) {
  check_not_negative("weight", options.weight, problems);
  if (!std::isfinite(options.temperature) || options.temperature <= 0) {
    problems.add("temperature", core::concat("must be above 0, is ", options.temperature));
  }
  if (options.top_k < 0) {
    problems.add("top_k", core::concat("must be 0 (all) or above, is ", options.top_k));
  }
}

Uld::Uld(const UldOptions& options) : options_(checked(options, UldOptions::kKind)) {}

types::LossValue Uld::operator()(const LossInput& input) const {
  const types::AlignedChunks& answer = aligned_chunks(input, name());
  if (!answer.hidden) {
    fail<TeacherError>(
        "uld: compares whole distributions, and the teacher gives only log-probabilities of the "
        "text; use `alm`, or a teacher of kind `local`");
  }
  const types::TeacherTokens& tokens = *answer.tokens;
  at::Tensor own_rows = tokens.student_first;
  at::Tensor other_rows = tokens.first_rows;
  if (input.mask.defined()) {
    const at::Tensor kept = at::nonzero(at::index_select(input.mask, 0, own_rows)).squeeze(1);
    own_rows = at::index_select(own_rows, 0, kept);
    other_rows = at::index_select(other_rows, 0, kept);
  }
  ops::SortedDivergenceInput compared;
  compared.student_hidden = at::index_select(input.student.hidden, 0, own_rows);
  compared.student_head = input.student.head;
  compared.student_transform = input.student.transform;
  compared.student_vocabulary = input.vocabulary;
  compared.teacher = {at::index_select(answer.hidden->hidden, 0, other_rows), answer.hidden->head,
                      answer.hidden->transform};
  compared.teacher_vocabulary = tokens.vocabulary;
  if (input.weights.defined()) compared.weights = at::index_select(input.weights, 0, own_rows);
  compared.temperature = options_.temperature;
  compared.top_k = options_.top_k;
  const at::Tensor sum = ops::sorted_divergence(compared);
  return {sum * options_.weight, own_rows.size(0), {{name(), sum.detach()}}};
}

}  // namespace distill::losses
