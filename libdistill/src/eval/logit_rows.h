#pragma once

#include <cstdint>
#include <utility>
#include <variant>

#include <ATen/core/Tensor.h>

#include <distill/types/model_output.h>
#include <distill/types/teacher_signal.h>

namespace distill::eval {

/// Logits of one model for one batch, formed only for the rows that are asked for.
class LogitRows {
 public:
  explicit LogitRows(types::ModelOutput output) : source_(std::move(output)) {}
  explicit LogitRows(types::DenseLogits logits) : source_(std::move(logits)) {}

  /// Positions of the batch.
  std::int64_t num_rows() const;
  std::int64_t vocab_size() const;
  /// fp32 logits [K, V] of positions `rows` [K] (double for a model in double).
  at::Tensor select(const at::Tensor& rows) const;

 private:
  std::variant<types::ModelOutput, types::DenseLogits> source_;
};

/// Rows of logits to form at a time: at most 32 MiB in fp32.
std::int64_t rows_at_a_time(std::int64_t vocab_size);

/// Without the padding of the head; `vocabulary` 0: not known.
at::Tensor real_ids(const at::Tensor& logits, std::int64_t vocabulary);

/// Throws InputError where `largest`, an id of the data, is none of the model `whose`.
void check_ids(std::int64_t largest, std::int64_t vocab_size, const char* whose);

}  // namespace distill::eval
