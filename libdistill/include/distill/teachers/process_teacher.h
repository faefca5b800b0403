#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/stop_flag.h>
#include <distill/dist/channel.h>
#include <distill/io/teacher_wire.h>
#include <distill/teachers/teacher.h>

namespace distill::teachers {

struct ProcessTeacherOptions {
  std::string where;            ///< what the channel leads to, for messages
  double timeout_seconds = 60;  ///< of silence: a teacher at work gives signs of life
  /// Told who the teacher is before anything large is sent; throws what it does not like. May be
  /// empty.
  std::function<void(const io::TeacherFacts&)> check = {};
};

/// A model in another process (`distill teacher`). Gives types::DenseHidden: last hidden states of
/// the positions that count, zeros elsewhere, and the head, which was handed over once. Announced
/// batches are asked for a few at a time, in order, so that `signal` waits only where the teacher
/// does not keep up. Where memory is shared the states and the head are not copied.
class ProcessTeacher final : public Teacher {
 public:
  /// Asks who the teacher is and for its head. `stop` (may be null) must outlive it. Throws
  /// FormatError for what is no teacher or speaks another version, TeacherError for one that is
  /// gone or silent, InputError where there is no memory for the head, Interrupted.
  ProcessTeacher(std::unique_ptr<dist::Channel> channel, ProcessTeacherOptions options,
                 const core::StopFlag* stop);
  ~ProcessTeacher() override;

  const io::TeacherFacts& facts() const;

  /// Throws TeacherError where the teacher is gone, silent or gives no usable answer, Interrupted
  /// where `stop` was requested.
  types::TeacherSignal signal(const types::Batch& batch) override;
  void announce(const types::Batch& batch) override;
  std::optional<TeacherCounts> counts() const override;
  std::vector<std::string> summary() const override;
  std::optional<std::string> likeness() const override;
  std::string describe() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::teachers
