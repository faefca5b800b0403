#pragma once

#include <initializer_list>

#include "ops/linear_divergence_problem.h"

namespace distill::ops {

struct NamedTensor {
  const char* name;
  at::Tensor tensor;
};

/// All tensors are where `student_hidden` is. Throws c10::Error naming the argument.
void check_device(const at::Tensor& x, const char* name, at::Device expected);

/// Shapes and types of a teacher known at some ids. Throws c10::Error naming what is wrong.
void check_sparse_signal(const at::Tensor& ids, std::initializer_list<NamedTensor> numbers,
                         std::int64_t vocabulary, double temperature);

/// Takes the rows that count into problem.sparse and checks every number in them: ids ascending and
/// in both vocabularies, log-probabilities of at most 1 together, weights not negative.
void take_sparse_rows(const at::Tensor& ids, const at::Tensor& log_probs, const at::Tensor& weights,
                      DivergenceProblem& problem);

}  // namespace distill::ops
