#pragma once

#include <memory>
#include <string>

#include <distill/types/batch.h>
#include <distill/types/teacher_signal.h>

namespace distill::teachers {

/// Where the teacher's signal comes from. It never sees a loss.
class Teacher {
 public:
  virtual ~Teacher() = default;
  /// The signal for every position of the batch; no graph.
  virtual types::TeacherSignal signal(const types::Batch& batch) = 0;
  /// One line for people: `local models/X (134.5 M parameters, bf16)`.
  virtual std::string describe() const = 0;
};

}  // namespace distill::teachers
