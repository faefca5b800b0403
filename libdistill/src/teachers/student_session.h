#pragma once

#include <memory>
#include <optional>
#include <string>

#include <distill/teachers/teacher_service.h>

namespace distill::teachers::detail {

/// What all students of a teacher have in common.
struct ServedTeacher {
  Teacher& teacher;
  const ServiceOptions& options;
  std::shared_ptr<dist::Bulk> head;
  ServiceCounts counts = {};
};

/// One student of a teacher, from its hello to its end.
class StudentSession {
 public:
  StudentSession(std::unique_ptr<dist::Channel> channel, ServedTeacher& served, std::string who);

  /// Does what the student asks for, once, if something comes in `seconds`. Throws DistributedError
  /// or InputError for a student that is wrong, or gone without a word.
  void work(double seconds);
  /// The teacher ends. Never throws: the student may be gone.
  void say_bye();
  /// It has said that it needs no more.
  bool is_over() const { return over_; }
  const std::string& who() const { return who_; }

 private:
  bool has_said_bye();
  void handle(const dist::Message& message);
  void greet(const dist::Message& message);
  void send_head();
  void answer(const dist::Message& message);
  std::shared_ptr<dist::Bulk> compute(const io::TeacherRequest& request);
  std::shared_ptr<dist::Bulk> hidden_states(const io::TeacherRequest& request);
  void count(const io::TeacherRequest& request);

  std::unique_ptr<dist::Channel> channel_;
  ServedTeacher& served_;
  std::string who_;
  bool greeted_ = false;
  bool over_ = false;
};

}  // namespace distill::teachers::detail
