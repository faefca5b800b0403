#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include <distill/teachers/teacher.h>

#include "eval/logit_rows.h"
#include "eval/parted_rows.h"

namespace distill::eval {

/// What a teacher says about one batch, in the form in which it can be measured against.
class TeacherAnswer {
 public:
  /// Asks it. Throws TeacherError where it says nothing, or something for other positions.
  TeacherAnswer(teachers::Teacher& teacher, const types::Batch& batch);

  std::int64_t vocab_size() const { return vocab_size_; }
  /// Logits [K, V] of positions `rows` [K], as LogitRows has them; nothing: it gives only parts of
  /// its distribution.
  std::optional<at::Tensor> full(const at::Tensor& rows) const;
  /// Positions `rows` [K] of a teacher that names its likeliest ids; nothing for all others.
  std::optional<types::TopKLogProbs> top_k(const at::Tensor& rows, at::Device device) const;

 private:
  template <class Rows, class... Args>
  void keep_full(teachers::Teacher& teacher, const types::Batch& batch, Args&&... args);

  std::int64_t vocab_size_ = 0;
  std::variant<std::monostate, LogitRows, PartedRows> full_;
  std::optional<types::TopKLogProbs> top_k_;
};

}  // namespace distill::eval
