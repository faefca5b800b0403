#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <distill/types/model_input.h>

namespace distill::types {

/// The text of a batch in the tokens of a teacher with another tokenizer, and which predictions of
/// both models are about the same bytes. A chunk is a run of the student's tokens and a run of the
/// teacher's that spell the same bytes behind the same text, as short as can be; the probability of
/// a chunk is the product of the probabilities of its tokens. Chunks hold only tokens that count in
/// the student's loss, rise along the batch, and there are C of them.
struct TeacherTokens {
  ModelInput input;             ///< Nt tokens; segments of the student without chunks are left out
  at::Tensor labels;            ///< int64 [Nt]: the token that follows; 0 at the end of a segment
  at::Tensor chunk_of_row;      ///< int64 [Nt]: the chunk that the label belongs to; -1: none
  at::Tensor student_chunks;    ///< int64 [N]: the same of the student's labels
  at::Tensor first_rows;        ///< int64 [C]: the row that predicts the first token of the chunk
  at::Tensor student_first;     ///< int64 [C]: the same of the student's rows
  std::int64_t vocabulary = 0;  ///< ids of the teacher's tokenizer; 0: all rows of its head

  std::int64_t num_chunks() const { return first_rows.size(0); }
};

/// With its tensors on `device`.
TeacherTokens moved_to(const TeacherTokens& tokens, at::Device device);

}  // namespace distill::types
