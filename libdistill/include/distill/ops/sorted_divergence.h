#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <distill/types/teacher_signal.h>

namespace distill::ops {

/// Row n of both models predicts what follows the same text, in ids of its own.
struct SortedDivergenceInput {
  at::Tensor student_hidden;  ///< [N, Hs] fp32, bf16 or fp64
  at::Tensor student_head;    ///< [V, Hs] same dtype
  types::LogitTransform student_transform;
  std::int64_t student_vocabulary = 0;  ///< ids of the tokenizer; 0: all rows of the head
  types::DenseHidden teacher;           ///< [N, Ht] and [Vt, Ht]; never gets a gradient
  std::int64_t teacher_vocabulary = 0;
  at::Tensor weights;        ///< fp32 or fp64 [N]: factors of the rows; undefined: 1
  double temperature = 1.0;  ///< divides both models' logits; > 0
  std::int64_t top_k = 0;    ///< compare only the k largest of each; 0: all
  std::int64_t workspace_bytes = std::int64_t{256} << 20;  ///< bound on what a chunk of rows holds
};

/// sum_n weight_n sum_i |p_(i) - q_(i)|, where p_(i) and q_(i) are the i-th largest probabilities
/// of student and teacher (the shorter list goes on with zeros): 0 to 2 for each row. A scalar in
/// fp32 (fp64 for fp64) with a graph, 0 for no rows. Differentiable once in student_hidden and
/// student_head; gradients are formed in the forward pass, for a few rows at a time, and the head's
/// are summed in fp32, which takes the head's memory once more for a bf16 head. Sorting takes far
/// longer than the products on a CPU; with `top_k` it does not.
/// Throws c10::Error naming the argument on bad shapes, dtypes or values.
at::Tensor sorted_divergence(const SortedDivergenceInput& input);

}  // namespace distill::ops
