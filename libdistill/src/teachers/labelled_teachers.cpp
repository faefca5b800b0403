#include <map>
#include <optional>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/teachers/several_teachers.h>
#include <distill/types/segment_selection.h>

#include "teachers/names_of_several.h"

namespace distill::teachers {

namespace {

class LabelledTeachers final : public Teacher {
 public:
  explicit LabelledTeachers(std::vector<TeacherOfSeveral> teachers)
      : teachers_(std::move(teachers)) {
    for (std::size_t t = 0; t < teachers_.size(); ++t) claim(t);
  }

  types::TeacherSignal signal(const types::Batch& batch) override {
    types::PartedSignal all;
    for (const auto& [teacher, segments] : shared_out(batch)) {
      auto own = types::select_segments(batch, segments);
      all.parts.push_back({own.rows, 1.0, teachers_[teacher].teacher->signal(own.batch)});
    }
    return all;
  }

  void announce(const types::Batch& batch) override {
    for (const auto& [teacher, segments] : shared_out(batch)) {
      teachers_[teacher].teacher->announce(types::select_segments(batch, segments).batch);
    }
  }

  std::optional<TeacherCounts> counts() const override { return counts_of(teachers_); }
  std::vector<std::string> summary() const override { return summaries_of(teachers_); }

  std::string describe() const override {
    return core::concat(teachers_.size(), " teachers by label: ", names_of(teachers_));
  }

 private:
  void claim(std::size_t t) {
    const TeacherOfSeveral& own = teachers_[t];
    if (own.labels.empty()) {
      if (others_) {
        fail<ConfigError>("teachers `", teachers_[*others_].name, "` and `", own.name,
                          "` both have no `labels`; one teacher at most takes all others");
      }
      others_ = t;
    }
    for (const auto& label : own.labels) {
      const auto [found, is_new] = by_label_.emplace(label, t);
      if (is_new) continue;
      fail<ConfigError>("label `", label, "` belongs to teacher `", teachers_[found->second].name,
                        "` and to `", own.name, "`, expected one of them");
    }
  }

  std::size_t teacher_of(const std::string& label) const {
    const auto found = by_label_.find(label);
    if (found != by_label_.end()) return found->second;
    if (others_) return *others_;
    std::vector<std::string> known;
    for (const auto& [name, teacher] : by_label_) known.push_back(name);
    fail<TeacherError>("data with the label `", label,
                       "` belong to no teacher; known labels: ", core::join(known),
                       "; a teacher without `labels` takes all others");
  }

  /// Segments by teacher.
  std::map<std::size_t, std::vector<std::int64_t>> shared_out(const types::Batch& batch) const {
    std::map<std::size_t, std::vector<std::int64_t>> result;
    for (std::size_t s = 0; s + 1 < batch.input.segments.size(); ++s) {
      const auto& labels = batch.segment_labels;
      result[teacher_of(labels.empty() ? std::string() : labels[s])].push_back(
          static_cast<std::int64_t>(s));
    }
    return result;
  }

  std::vector<TeacherOfSeveral> teachers_;
  std::map<std::string, std::size_t> by_label_;
  std::optional<std::size_t> others_;  ///< takes what nobody claims
};

}  // namespace

std::unique_ptr<Teacher> make_labelled_teachers(std::vector<TeacherOfSeveral> teachers) {
  require_some(teachers);
  return std::make_unique<LabelledTeachers>(std::move(teachers));
}

}  // namespace distill::teachers
