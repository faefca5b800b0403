#pragma once

#include <cstdint>
#include <optional>

#include <distill/teachers/teacher.h>

#include "eval/logit_rows.h"

namespace distill::eval {

/// What a teacher says about one batch, in the form in which it can be measured against.
class TeacherAnswer {
 public:
  /// Asks it. Throws TeacherError where it says nothing, or something for other positions.
  TeacherAnswer(teachers::Teacher& teacher, const types::Batch& batch);

  std::int64_t vocab_size() const { return vocab_size_; }
  /// Its whole distribution; null: it gives only parts.
  const LogitRows* full() const { return full_ ? &*full_ : nullptr; }
  /// Positions `rows` [K] of a teacher that names its likeliest ids; nothing for all others.
  std::optional<types::TopKLogProbs> top_k(const at::Tensor& rows, at::Device device) const;

 private:
  std::int64_t vocab_size_ = 0;
  std::optional<LogitRows> full_;
  std::optional<types::TopKLogProbs> top_k_;
};

}  // namespace distill::eval
