#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/types/teacher_signal.h>

#include "eval/logit_rows.h"

namespace distill::eval {

/// Logits of several teachers, each with its whole distribution. Where they share out the positions
/// each has its own teacher's logits; where all speak of all, the log of their mean distribution.
class PartedRows {
 public:
  /// `num_rows`: positions of the batch. `vocabulary`: ids of the tokenizer; rows of the heads
  /// behind are padding, over which nothing is normalised; 0: there are none. Throws TeacherError
  /// for parts of another kind, or that leave a position out.
  PartedRows(const types::PartedSignal& signal, std::int64_t num_rows, std::int64_t vocabulary);

  std::int64_t num_rows() const { return num_rows_; }
  std::int64_t vocab_size() const;  ///< of the tokenizer, or the smallest of the teachers'
  /// [K, V] of positions `rows` [K], as LogitRows has them.
  at::Tensor select(const at::Tensor& rows) const;

 private:
  struct Part {
    at::Tensor places;  ///< int64 [N] on the CPU, row of the part or -1; undefined: all in order
    double weight;
    LogitRows rows;
  };
  std::vector<Part> parts_;
  std::int64_t num_rows_;
  std::int64_t vocabulary_;
};

}  // namespace distill::eval
