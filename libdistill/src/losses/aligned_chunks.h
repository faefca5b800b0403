#pragma once

#include <string_view>

#include <distill/losses/loss.h>

namespace distill::losses {

/// The teacher's answer. Throws TeacherError where it is no answer about chunks, or its sizes do
/// not fit the student's rows; `kind` is who asks.
const types::AlignedChunks& aligned_chunks(const LossInput& input, std::string_view kind);

/// The sum of `of_rows` [N] over the rows of each of `count` chunks, [count]; differentiable. Rows
/// with a chunk of -1 belong to none.
at::Tensor sum_over_chunks(const at::Tensor& of_rows, const at::Tensor& chunk_of_row,
                           std::int64_t count);

/// Which chunks have all their rows in the mask, bool [C].
at::Tensor chunks_in_mask(const LossInput& input, const types::TeacherTokens& tokens);

}  // namespace distill::losses
