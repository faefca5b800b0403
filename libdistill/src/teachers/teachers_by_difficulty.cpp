#include <cmath>
#include <utility>

#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/core/table.h>
#include <distill/teachers/several_teachers.h>
#include <distill/types/segment_selection.h>

#include "teachers/names_of_several.h"
#include "teachers/segment_nll.h"

namespace distill::teachers {

namespace {

using Segments = std::vector<std::int64_t>;

types::ModelOutput output_of(types::TeacherSignal signal, const std::string& name) {
  auto* dense = std::get_if<types::DenseHidden>(&signal);
  if (dense == nullptr) {
    fail<TeacherError>("teacher `", name,
                       "` gives no full distribution, so its answers cannot be judged; choose "
                       "teachers by weight or label");
  }
  return {dense->hidden, dense->head, dense->transform};
}

void add(types::PartedSignal& all, at::Tensor rows, const types::ModelOutput& output) {
  types::SignalPart& part = all.parts.emplace_back();
  part.rows = std::move(rows);
  part.signal = types::DenseHidden{output.hidden, output.head, output.transform};
}

class TeachersByDifficulty final : public Teacher {
 public:
  TeachersByDifficulty(std::vector<TeacherOfSeveral> teachers,
                       std::shared_ptr<models::CausalLm> student, double margin)
      : teachers_(std::move(teachers)), student_(std::move(student)), margin_(margin) {
    answered_.resize(teachers_.size());
  }

  types::TeacherSignal signal(const types::Batch& batch) override {
    const c10::NoGradGuard no_graph;
    const auto known = segment_nll(student_output(batch), batch);
    types::PartedSignal all;
    Segments open;
    for (std::size_t s = 0; s < known.size(); ++s) open.push_back(static_cast<std::int64_t>(s));
    for (std::size_t t = 0; t < teachers_.size() && !open.empty(); ++t) {
      open = ask(t, batch, open, known, all);
    }
    return all;
  }

  std::optional<TeacherCounts> counts() const override { return counts_of(teachers_); }

  std::string describe() const override {
    return core::concat(teachers_.size(), " teachers by difficulty: ", names_of(teachers_));
  }

  std::vector<std::string> summary() const override {
    double total = 0;
    for (const std::int64_t tokens : answered_) total += static_cast<double>(tokens);
    std::vector<std::string> lines = summaries_of(teachers_);
    if (total == 0) return lines;
    for (std::size_t t = 0; t < teachers_.size(); ++t) {
      const double share = static_cast<double>(answered_[t]) / total;
      lines.push_back(core::concat("teacher `", teachers_[t].name, "` answered for ",
                                   core::with_thousands(answered_[t]), " tokens to learn, ",
                                   core::fixed(100 * share, 1), " %"));
    }
    return lines;
  }

 private:
  /// As evaluation sees the student: nothing of its adapters is dropped.
  types::ModelOutput student_output(const types::Batch& batch) {
    nn::AdapterSwitch* adapters = student_->adapter_switch();
    if (adapters == nullptr) return student_->forward(batch.input);
    const auto seed = std::exchange(adapters->dropout_seed, std::nullopt);
    types::ModelOutput output = student_->forward(batch.input);
    adapters->dropout_seed = seed;
    return output;
  }

  /// Adds what teacher `t` is good enough for; returns the segments that it is not.
  Segments ask(std::size_t t, const types::Batch& batch, const Segments& open,
               const std::vector<double>& known, types::PartedSignal& all) {
    auto own = types::select_segments(batch, open);
    types::ModelOutput output =
        output_of(teachers_[t].teacher->signal(own.batch), teachers_[t].name);
    const bool is_last = t + 1 == teachers_.size();
    Segments good, left;  // by their number in `own`
    if (!is_last) {
      const auto nll = segment_nll(output, own.batch);
      for (std::size_t i = 0; i < open.size(); ++i) {
        const double student = known[static_cast<std::size_t>(open[i])];
        const bool enough = nll[i] <= student - margin_ || student == 0;  // 0: nothing to learn
        (enough ? good : left).push_back(static_cast<std::int64_t>(i));
      }
    }
    if (is_last || left.empty()) {
      answered_[t] += own.batch.num_targets;
      add(all, own.rows, output);
      return {};
    }
    if (!good.empty()) {
      const auto part = types::select_segments(own.batch, good);
      output.hidden = output.hidden.index_select(0, part.rows);
      answered_[t] += part.batch.num_targets;
      add(all, own.rows.index_select(0, part.rows), output);
    }
    for (std::int64_t& segment : left) segment = open[static_cast<std::size_t>(segment)];
    return left;
  }

  std::vector<TeacherOfSeveral> teachers_;
  std::shared_ptr<models::CausalLm> student_;
  double margin_;
  std::vector<std::int64_t> answered_;  ///< tokens, by teacher
};

}  // namespace

std::unique_ptr<Teacher> make_teachers_by_difficulty(std::vector<TeacherOfSeveral> teachers,
                                                     std::shared_ptr<models::CausalLm> student,
                                                     double margin) {
  require_some(teachers);
  if (!std::isfinite(margin)) {
    fail<ConfigError>("the margin by which a teacher must be better is ", margin,
                      ", expected a number of nats a token");
  }
  return std::make_unique<TeachersByDifficulty>(std::move(teachers), std::move(student), margin);
}

}  // namespace distill::teachers
