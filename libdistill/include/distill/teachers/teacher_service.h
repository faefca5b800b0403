#pragma once

#include <cstdint>

#include <c10/core/Device.h>

#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/dist/channel.h>
#include <distill/io/teacher_wire.h>
#include <distill/teachers/teacher.h>

namespace distill::teachers {

struct ServiceOptions {
  /// Of the teacher; what its answers tell is put in: dtype, sizes, and the logits' transform.
  io::TeacherFacts facts;
  at::Device device = at::kCPU;  ///< where the teacher is
  bool stay = false;             ///< wait for others when the last student has gone
};

/// What a teacher has done for all its students.
struct ServiceCounts {
  std::int64_t students = 0;
  std::int64_t requests = 0;
  std::int64_t tokens = 0;     ///< read
  std::int64_t positions = 0;  ///< hidden states handed over
  std::uint64_t bytes = 0;     ///< of them
  /// Of heads: one where memory is shared, else one for each student.
  std::uint64_t head_bytes = 0;
  std::uint64_t logit_bytes = 0;  ///< that the logits of the positions would have taken
  double seconds_computing = 0;
  double seconds_waiting = 0;  ///< for students
};

/// Serves last hidden states to the students that connect, several at a time, in turn: one batch
/// after the other. Ends when the last student has gone, or when `stop` (may be null) is requested.
/// A student that sends what is no request is told why where it can be, and dropped with a warning.
/// Throws TeacherError for a teacher that does not give hidden states and a head.
ServiceCounts serve_teacher(Teacher& teacher, dist::Listener& listener,
                            const ServiceOptions& options, core::Logger& log,
                            const core::StopFlag* stop);

}  // namespace distill::teachers
