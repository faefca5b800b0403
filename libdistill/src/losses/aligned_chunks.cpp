#include "losses/aligned_chunks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logical_not.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include <distill/types/teacher_tokens.h>

namespace distill::losses {

const types::AlignedChunks& aligned_chunks(const LossInput& input, std::string_view kind) {
  const auto* answer = std::get_if<types::AlignedChunks>(&input.teacher);
  if (answer == nullptr || answer->tokens == nullptr) {
    fail<TeacherError>(kind,
                       ": the teacher does not say what it makes of chunks of the text, expected a "
                       "teacher that reads it in its own tokens (docs/cross_tokenizer.md)");
  }
  const std::int64_t rows = input.student.hidden.size(0);
  const std::int64_t known = answer->tokens->student_chunks.size(0);
  if (known != rows) {
    fail<TeacherError>(kind, ": the teacher's chunks are of ", known,
                       " positions, the student has ", rows);
  }
  return *answer;
}

at::Tensor sum_over_chunks(const at::Tensor& of_rows, const at::Tensor& chunk_of_row,
                           std::int64_t count) {
  const at::Tensor rows = at::nonzero(chunk_of_row >= 0).squeeze(1);
  return at::zeros({count}, of_rows.options().requires_grad(false))
      .index_add(0, at::index_select(chunk_of_row, 0, rows), at::index_select(of_rows, 0, rows));
}

at::Tensor chunks_in_mask(const LossInput& input, const types::TeacherTokens& tokens) {
  const std::int64_t count = tokens.num_chunks();
  if (!input.mask.defined()) return at::ones({count}, input.labels.options().dtype(at::kBool));
  return sum_over_chunks(at::logical_not(input.mask).to(at::kLong), tokens.student_chunks, count) ==
         0;
}

}  // namespace distill::losses
