#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <distill/losses/loss.h>

namespace distill::testing {

/// A random student and teacher over `rows` tokens, every third of them masked.
inline losses::LossInput random_loss_input(std::int64_t rows, std::int64_t vocabulary,
                                           at::ScalarType type) {
  losses::LossInput input;
  input.student.hidden = at::randn({rows, 8}).to(type).requires_grad_();
  input.student.head = at::randn({vocabulary, 8}).to(type).requires_grad_();
  input.teacher =
      types::DenseHidden{at::randn({rows, 6}).to(type), at::randn({vocabulary, 6}).to(type), {}};
  input.labels = at::randint(vocabulary, {rows}, at::kLong);
  at::Tensor mask = at::randint(1, {rows}, at::kLong) == 0;
  for (std::int64_t i = 2; i < rows; i += 3) mask.select(0, i).fill_(false);
  input.mask = mask;
  return input;
}

/// The same as the fused operator's input.
inline ops::LinearDivergenceInput as_op_input(const losses::LossInput& input) {
  ops::LinearDivergenceInput op_input;
  op_input.student_hidden = input.student.hidden;
  op_input.student_head = input.student.head;
  op_input.student_transform = input.student.transform;
  op_input.teacher = input.teacher;
  op_input.labels = input.labels;
  op_input.valid = input.mask;
  return op_input;
}

}  // namespace distill::testing
