#include <distill/teachers/teacher_service.h>

#include <chrono>
#include <exception>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include <ATen/ops/zeros.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/types/batch.h>

#include "teachers/student_session.h"

namespace distill::teachers {

namespace {

using detail::ServedTeacher;
using detail::StudentSession;

constexpr double kPatience = 0.1;  ///< between looks at the stop flag and at who connects
constexpr double kTurn = 0.002;    ///< of one of several students
constexpr std::size_t kMostStudents = 256;

/// What every answer comes with.
types::DenseHidden sample_of(Teacher& teacher, at::Device device) {
  types::Batch batch;
  batch.input = types::pack({{0}});
  batch.labels = at::zeros({1}, at::TensorOptions(at::kLong));
  batch.loss_mask = at::zeros({1}, at::TensorOptions(at::kBool));
  auto signal = teacher.signal(device.is_cpu() ? batch : types::moved_to(batch, device));
  auto* dense = std::get_if<types::DenseHidden>(&signal);
  if (dense == nullptr) {
    fail<TeacherError>("teacher `", teacher.describe(), "` gives no hidden states to hand over");
  }
  return std::move(*dense);
}

void complete(io::TeacherFacts& facts, const types::DenseHidden& sample) {
  const bool narrow = sample.head.scalar_type() == at::kBFloat16;
  if ((!narrow && sample.head.scalar_type() != at::kFloat) ||
      sample.hidden.scalar_type() != sample.head.scalar_type()) {
    fail<TeacherError>("a teacher's hidden states and head must be fp32 or bf16 to be handed over");
  }
  facts.dtype = narrow ? "bf16" : "fp32";
  facts.vocabulary = sample.head.size(0);
  facts.hidden_size = sample.head.size(1);
  facts.scale = sample.transform.scale;
  facts.softcap = sample.transform.softcap;
}

class Service {
 public:
  Service(ServedTeacher& served, dist::Listener& listener, core::Logger& log,
          const core::StopFlag* stop)
      : served_(served), listener_(listener), log_(log), stop_(stop) {}

  void run() {
    const auto begin = std::chrono::steady_clock::now();
    while (!is_done()) {
      if (sessions_.size() < kMostStudents) accept(sessions_.empty() ? kPatience : 0);
      take_turns();
    }
    for (const auto& session : sessions_) session->say_bye();
    const std::chrono::duration<double> all = std::chrono::steady_clock::now() - begin;
    served_.counts.seconds_waiting = all.count() - served_.counts.seconds_computing;
  }

 private:
  bool is_done() {
    if (stop_ != nullptr && stop_->requested()) return true;
    if (!sessions_.empty() || served_.counts.students == 0 || served_.options.stay) return false;
    accept(0);  // one may have connected while the last one was served
    return sessions_.empty();
  }

  void accept(double seconds) {
    try {
      auto channel = listener_.accept(seconds);
      if (!channel) return;
      const std::string who = core::concat("student ", served_.counts.students + 1);
      sessions_.push_back(std::make_unique<StudentSession>(std::move(channel), served_, who));
      ++served_.counts.students;
      log_.info(who, " has come");
    } catch (const std::exception& error) {
      log_.warning("a student could not be taken: ", core::without_controls(error.what()));
    }
  }

  /// One request of each student that has one.
  void take_turns() {
    const double wait = sessions_.size() == 1 ? kPatience : kTurn;
    for (auto session = sessions_.begin(); session != sessions_.end();) {
      session = goes_on(**session, wait) ? std::next(session) : sessions_.erase(session);
    }
  }

  bool goes_on(StudentSession& session, double wait) {
    try {
      session.work(wait);
      if (session.is_over()) log_.info(session.who(), " is done");
      return !session.is_over();
    } catch (const std::exception& error) {
      log_.warning(session.who(), " is dropped: ", core::without_controls(error.what()));
      return false;
    }
  }

  ServedTeacher& served_;
  dist::Listener& listener_;
  core::Logger& log_;
  const core::StopFlag* stop_;
  std::list<std::unique_ptr<StudentSession>> sessions_;
};

}  // namespace

ServiceCounts serve_teacher(Teacher& teacher, dist::Listener& listener,
                            const ServiceOptions& options, core::Logger& log,
                            const core::StopFlag* stop) {
  ServiceOptions own = options;
  const types::DenseHidden sample = sample_of(teacher, own.device);
  complete(own.facts, sample);
  const at::Tensor head = sample.head.detach().cpu().contiguous();
  const auto head_bytes = head.view({-1}).view(at::kByte);
  ServedTeacher served{teacher, own, listener.make_constant(head_bytes)};
  Service(served, listener, log, stop).run();
  return served.counts;
}

}  // namespace distill::teachers
