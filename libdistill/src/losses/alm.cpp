#include <distill/losses/alm.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/ops/label_log_probs.h>
#include <distill/types/teacher_tokens.h>

#include "losses/aligned_chunks.h"
#include "losses/coin_divergence.h"
#include "losses/options.h"

namespace distill::losses {

void describe(core::FieldVisitor& visit, AlmOptions& options) {
  visit("weight", options.weight, "factor of this loss in the total");
  visit("temperature", options.temperature,
        "probabilities of chunks are raised to 1 / temperature; the paper's 100");
  visit("scale_by_temperature", options.scale_by_temperature,
        "multiply value and gradient by temperature, so that their size does not depend on it");
  visit("divergence", options.divergence, "how the two probabilities of a chunk are compared");
}

void validate(const AlmOptions& options, core::Problems& problems) {
  check_not_negative("weight", options.weight, problems);
  if (!std::isfinite(options.temperature) || options.temperature <= 0) {
    problems.add("temperature", core::concat("must be above 0, is ", options.temperature));
  }
}

namespace {

/// fp64 [C].
at::Tensor teacher_log_probs(const types::AlignedChunks& answer) {
  const types::TeacherTokens& tokens = *answer.tokens;
  if (answer.log_probs.defined()) {
    if (answer.log_probs.sizes() != tokens.first_rows.sizes()) {
      fail<TeacherError>("alm: the teacher gives log-probabilities of ", answer.log_probs.sizes(),
                         ", expected one for each of ", tokens.num_chunks(), " chunks");
    }
    return answer.log_probs.to(at::kDouble);
  }
  if (!answer.hidden) {
    fail<TeacherError>("alm: the teacher gives neither log-probabilities nor hidden states");
  }
  const c10::NoGradGuard no_grad;
  ops::LabelLogProbsInput input;
  input.hidden = answer.hidden->hidden;
  input.head = answer.hidden->head;
  input.transform = answer.hidden->transform;
  input.labels = tokens.labels;
  input.valid = tokens.chunk_of_row >= 0;
  input.vocabulary = tokens.vocabulary;
  return sum_over_chunks(ops::label_log_probs(input).to(at::kDouble), tokens.chunk_of_row,
                         tokens.num_chunks());
}

/// fp64 [C] with a graph; chunks with a row outside the mask lack that row's share.
at::Tensor student_log_probs(const LossInput& input, const types::TeacherTokens& tokens) {
  ops::LabelLogProbsInput own;
  own.hidden = input.student.hidden;
  own.head = input.student.head;
  own.transform = input.student.transform;
  own.labels = input.labels;
  own.valid = tokens.student_chunks >= 0;
  if (input.mask.defined()) own.valid = at::logical_and(own.valid, input.mask);
  own.vocabulary = input.vocabulary;
  return sum_over_chunks(ops::label_log_probs(own).to(at::kDouble), tokens.student_chunks,
                         tokens.num_chunks());
}

}  // namespace

Alm::Alm(const AlmOptions& options) : options_(checked(options, AlmOptions::kKind)) {}

types::LossValue Alm::operator()(const LossInput& input) const {
  const types::AlignedChunks& answer = aligned_chunks(input, name());
  const types::TeacherTokens& tokens = *answer.tokens;
  const at::Tensor student = student_log_probs(input, tokens);
  const at::Tensor kept = at::nonzero(chunks_in_mask(input, tokens)).squeeze(1);
  const at::Tensor lengths = sum_over_chunks(at::ones_like(tokens.student_chunks),
                                             tokens.student_chunks, tokens.num_chunks());
  at::Tensor value =
      coin_divergence(options_.divergence, at::index_select(teacher_log_probs(answer), 0, kept),
                      at::index_select(student, 0, kept), options_.temperature);
  if (options_.scale_by_temperature) value = value * options_.temperature;
  if (input.weights.defined()) {
    const at::Tensor sums = sum_over_chunks(input.weights.detach().to(at::kDouble),
                                            tokens.student_chunks, tokens.num_chunks());
    value = value * at::index_select(sums / lengths, 0, kept);
  }
  const auto type = input.student.head.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor sum = value.sum().to(type);
  const auto count = at::index_select(lengths, 0, kept).sum().item<std::int64_t>();
  return {sum * options_.weight, count, {{name(), sum.detach()}}};
}

}  // namespace distill::losses
