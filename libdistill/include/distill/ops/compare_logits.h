#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// Sums over rows.
struct LogitComparison {
  double kl = 0;            ///< KL(teacher || student) over the ids that both have
  double teacher_nll = 0;   ///< -log p(label), over all ids of the teacher
  double student_nll = 0;   ///< the same over all of the student's
  std::int64_t agreed = 0;  ///< rows with the same likeliest id of those that both have
};

/// Measures a student's logits [R, V] against a teacher's [R, Vt], in fp32 or fp64 both. Ids behind
/// the first min(V, Vt) are padding of one of the two. `labels` int64 [R] lie below both. On the
/// CPU nothing of a row's size is written; on a GPU the tensors' own
/// operators are used. An infinitely unlikely id may be -inf; NaN gives NaN. Throws c10::Error
/// naming the argument on bad shapes, dtypes or values.
LogitComparison compare_logits(const at::Tensor& teacher, const at::Tensor& student,
                               const at::Tensor& labels);

}  // namespace distill::ops
