#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/teachers/several_teachers.h>

#include "teachers/names_of_several.h"

namespace distill::teachers {

namespace {

class WeightedTeachers final : public Teacher {
 public:
  explicit WeightedTeachers(std::vector<TeacherOfSeveral> teachers)
      : teachers_(std::move(teachers)) {
    for (const auto& own : teachers_) total_ += own.weight;
  }

  types::TeacherSignal signal(const types::Batch& batch) override {
    types::PartedSignal all;
    for (const auto& own : teachers_) {
      all.parts.push_back({{}, own.weight / total_, own.teacher->signal(batch)});
    }
    return all;
  }

  void announce(const types::Batch& batch) override {
    for (const auto& own : teachers_) own.teacher->announce(batch);
  }

  std::optional<TeacherCounts> counts() const override { return counts_of(teachers_); }
  std::vector<std::string> summary() const override { return summaries_of(teachers_); }

  std::string describe() const override {
    return core::concat(teachers_.size(), " teachers by weight: ", names_of(teachers_));
  }

 private:
  std::vector<TeacherOfSeveral> teachers_;
  double total_ = 0;
};

}  // namespace

std::unique_ptr<Teacher> make_weighted_teachers(std::vector<TeacherOfSeveral> teachers) {
  require_some(teachers);
  for (const auto& own : teachers) {
    if (own.weight > 0 && own.weight < 1e30) continue;
    fail<ConfigError>("the weight of teacher `", own.name, "` must be above 0, it is ", own.weight);
  }
  return std::make_unique<WeightedTeachers>(std::move(teachers));
}

}  // namespace distill::teachers
