#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <distill/types/teacher_signal.h>

namespace distill::eval {

/// Sums over target tokens, in double.
struct TokenSums {
  double student_nll =
      0;  ///< negative log-likelihood of the labels, over the model's own vocabulary
  double teacher_nll = 0;
  double kl = 0;        ///< KL(teacher || student)
  double top_k_kl = 0;  ///< the same over K + 1 classes
  double agreed = 0;    ///< positions with the same most likely id
  // Over how many positions the sums above are.
  std::int64_t full_rows = 0;
  std::int64_t top_k_rows = 0;
  std::int64_t agreement_rows = 0;
};

/// Adds -log p(label) of each row of `logits` [K, V]; `labels` [K] lie below V.
void add_nll(const at::Tensor& logits, const at::Tensor& labels, double& sum);

/// Adds what ops::compare_logits finds in each pair of rows of `teacher` [K, Vt] and `student`
/// [K, V]; `labels` [K] lie below both.
void add_comparison(const at::Tensor& teacher, const at::Tensor& student, const at::Tensor& labels,
                    TokenSums& sums);

/// KL and agreement of a teacher known at its likeliest ids; `teacher` has the rows of `student`
/// [K, V] and lies where that does. KL is left out where its temperature is not 1. Throws
/// TeacherError for an id that the student does not have.
void add_top_k_comparison(const types::TopKLogProbs& teacher, const at::Tensor& student,
                          TokenSums& sums);

}  // namespace distill::eval
