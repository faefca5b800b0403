#pragma once

#include <ATen/core/Tensor.h>

namespace distill::eval {

/// Sums over target tokens, in double.
struct TokenSums {
  double student_nll =
      0;  ///< negative log-likelihood of the labels, over the model's own vocabulary
  double teacher_nll = 0;
  double kl = 0;      ///< KL(teacher || student)
  double agreed = 0;  ///< positions with the same most likely id
};

/// Adds -log p(label) of each row of `logits` [K, V]; `labels` [K] lie below V.
void add_nll(const at::Tensor& logits, const at::Tensor& labels, double& sum);

/// Adds KL and agreement of each pair of rows of `teacher` [K, Vt] and `student` [K, V], both
/// restricted to the first min(V, Vt) ids: what is beyond is padding of one of the two.
void add_comparison(const at::Tensor& teacher, const at::Tensor& student, TokenSums& sums);

}  // namespace distill::eval
