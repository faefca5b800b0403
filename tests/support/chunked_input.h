#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/ops/zeros.h>

#include <distill/losses/loss.h>
#include <distill/types/teacher_tokens.h>

#include "support/op_check.h"

namespace distill::testing {

inline at::Tensor ids(const std::vector<std::int64_t>& values) {
  at::Tensor x = at::zeros({static_cast<std::int64_t>(values.size())}, at::kLong);
  for (std::size_t i = 0; i < values.size(); ++i) x[static_cast<std::int64_t>(i)] = values[i];
  return x;
}

/// Eight positions of a student over 13 ids and six of a teacher over 9: chunks of 1, 2, 1 and 2 of
/// the student's tokens and of 2, 1, 1 and 1 of the teacher's, with rows between that are in none.
inline std::shared_ptr<types::TeacherTokens> four_chunks() {
  auto tokens = std::make_shared<types::TeacherTokens>();
  tokens->input = types::single_sequence(ids({1, 2, 3, 4, 5, 6}));
  tokens->labels = ids({2, 3, 4, 5, 6, 0});
  tokens->chunk_of_row = ids({0, 0, 1, 2, 3, -1});
  tokens->student_chunks = ids({-1, 0, 1, 1, 2, 3, 3, -1});
  tokens->first_rows = ids({0, 2, 3, 4});
  tokens->student_first = ids({1, 2, 4, 5});
  tokens->vocabulary = 9;
  return tokens;
}

/// fp64 models of random numbers over them.
inline losses::LossInput chunked_input() {
  losses::LossInput input;
  input.student.hidden = normal({8, 5}, 1).requires_grad_();
  input.student.head = normal({13, 5}, 2).requires_grad_();
  input.labels = ids({3, 1, 4, 1, 5, 9, 2, 6});
  input.mask = input.labels >= 0;
  input.teacher = types::AlignedChunks{
      four_chunks(), types::DenseHidden{normal({6, 4}, 3), normal({9, 4}, 4), {}}, {}};
  return input;
}

}  // namespace distill::testing
