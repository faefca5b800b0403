#pragma once

#include <memory>
#include <string>
#include <vector>

#include <distill/models/causal_lm.h>
#include <distill/teachers/teacher.h>

namespace distill::teachers {

/// One of several teachers of a run.
struct TeacherOfSeveral {
  std::string name;  ///< for messages
  std::unique_ptr<Teacher> teacher;
  double weight = 1.0;                   ///< of make_weighted_teachers, above 0
  std::vector<std::string> labels = {};  ///< of make_labelled_teachers; empty: all others
};

/// All of them at every position: the loss is the mean of the losses to each, by weight. With
/// forward KL that is, up to a constant, the KL to the mixture of their distributions.
std::unique_ptr<Teacher> make_weighted_teachers(std::vector<TeacherOfSeveral> teachers);

/// Each segment goes to the teacher that has its label (types::Batch::segment_labels). Throws
/// ConfigError when two teachers claim a label or two claim all others; `signal` throws
/// TeacherError for a label that is nobody's.
std::unique_ptr<Teacher> make_labelled_teachers(std::vector<TeacherOfSeveral> teachers);

/// From the cheapest to the largest: each segment is answered by the first teacher who is good
/// enough for it, or by the last. Good enough is one who knows more than the student: whose loss on
/// the segment's own tokens is at least `margin` nats a token below the student's. The large
/// teacher reads only what the small ones cannot teach. Costs one more forward pass of the student.
/// To be called on the thread that trains.
std::unique_ptr<Teacher> make_teachers_by_difficulty(std::vector<TeacherOfSeveral> teachers,
                                                     std::shared_ptr<models::CausalLm> student,
                                                     double margin);

}  // namespace distill::teachers
