#include <distill/teachers/several_teachers.h>

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>

#include <distill/core/error.h>
#include <distill/models/logits.h>
#include <distill/teachers/local_teacher.h>
#include <distill/types/segment_selection.h>

#include "support/tensor_values.h"
#include "support/toy_model.h"

#include "teachers/segment_nll.h"

namespace distill::teachers {
namespace {

using testing::ToyModel;

std::shared_ptr<ToyModel> model_of(std::uint64_t seed, double scale = 1.0) {
  return std::make_shared<ToyModel>(
      ToyModel::Options{.vocab_size = 40, .seed = seed, .dtype = at::kDouble, .scale = scale});
}

/// Three segments of 4, 3 and 5 tokens that are learned from their second token on.
types::Batch three_segments() {
  types::Batch batch;
  batch.input = types::pack({{1, 2, 3, 4}, {5, 6, 7}, {8, 9, 10, 11, 12}});
  batch.labels = batch.input.input_ids.roll({-1}, {0});
  batch.loss_mask = batch.labels > 0;
  for (const std::int64_t last : {3, 6, 11}) batch.loss_mask[last] = false;
  batch.num_targets = 9;
  batch.num_sequences = 3;
  return batch;
}

TeacherOfSeveral teacher_of(const std::string& name, const std::shared_ptr<ToyModel>& model,
                            std::vector<std::string> labels = {}) {
  return {name, make_local_teacher(model, name), 1.0, std::move(labels)};
}

std::vector<TeacherOfSeveral> two(TeacherOfSeveral first, TeacherOfSeveral second) {
  std::vector<TeacherOfSeveral> teachers;
  teachers.push_back(std::move(first));
  teachers.push_back(std::move(second));
  return teachers;
}

std::vector<std::int64_t> rows_of(const types::SignalPart& part) {
  return testing::values<std::int64_t>(part.rows);
}

const at::Tensor& hidden_of(const types::SignalPart& part) {
  return std::get<types::DenseHidden>(part.signal).hidden;
}

TEST(SelectSegments, AreABatchOfTheirOwn) {
  types::Batch batch = three_segments();
  batch.segment_labels = {"a", "b", "c"};
  const auto chosen = types::select_segments(batch, {0, 2});
  EXPECT_EQ(testing::values<std::int64_t>(chosen.batch.input.input_ids),
            (std::vector<std::int64_t>{1, 2, 3, 4, 8, 9, 10, 11, 12}));
  EXPECT_EQ(chosen.batch.input.segments, (std::vector<std::int64_t>{0, 4, 9}));
  EXPECT_EQ(testing::values<std::int64_t>(chosen.rows),
            (std::vector<std::int64_t>{0, 1, 2, 3, 7, 8, 9, 10, 11}));
  EXPECT_EQ(chosen.batch.num_targets, 7);
  EXPECT_EQ(chosen.batch.segment_labels, (std::vector<std::string>{"a", "c"}));
  const auto model = model_of(1);
  EXPECT_TRUE(at::equal(model->forward(chosen.batch.input).hidden,
                        model->forward(batch.input).hidden.index_select(0, chosen.rows)));
}

TEST(SegmentNll, IsTheMeanOverASegmentsTargets) {
  types::Batch batch = three_segments();
  batch.loss_mask[4] = false;
  batch.loss_mask[5] = false;  // nothing is left of the second
  batch.vocabulary = 30;       // the others are padding
  const auto output = model_of(2)->forward(batch.input);
  const auto nll = segment_nll(output, batch);
  const at::Tensor log_probs =
      at::log_softmax(models::logits(output, output.hidden).narrow(1, 0, 30), 1);
  const auto own = [&](std::int64_t row) {
    return -log_probs[row][batch.labels[row].item<std::int64_t>()].item<double>();
  };
  ASSERT_EQ(nll.size(), 3u);
  EXPECT_NEAR(nll[0], (own(0) + own(1) + own(2)) / 3, 1e-12);
  EXPECT_EQ(nll[1], 0.0);
  EXPECT_NEAR(nll[2], (own(7) + own(8) + own(9) + own(10)) / 4, 1e-12);
}

TEST(LabelledTeachers, EachSegmentGoesToItsTeacher) {
  const auto a = model_of(1), b = model_of(2);
  const auto teacher =
      make_labelled_teachers(two(teacher_of("a", a, {"maths"}), teacher_of("b", b)));
  types::Batch batch = three_segments();
  batch.segment_labels = {"code", "maths", ""};
  const auto signal = teacher->signal(batch);
  const auto& parts = std::get<types::PartedSignal>(signal).parts;
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(rows_of(parts[0]), (std::vector<std::int64_t>{4, 5, 6}));
  EXPECT_EQ(rows_of(parts[1]), (std::vector<std::int64_t>{0, 1, 2, 3, 7, 8, 9, 10, 11}));
  EXPECT_TRUE(at::equal(hidden_of(parts[0]),
                        a->forward(batch.input).hidden.index_select(0, parts[0].rows)));
  EXPECT_TRUE(at::equal(hidden_of(parts[1]),
                        b->forward(batch.input).hidden.index_select(0, parts[1].rows)));
}

TEST(LabelledTeachers, RefusesLabelsOfNobodyAndOfTwo) {
  const auto a = model_of(1);
  const auto teacher =
      make_labelled_teachers(two(teacher_of("a", a, {"maths"}), teacher_of("b", a, {"code"})));
  types::Batch batch = three_segments();
  batch.segment_labels = {"code", "maths", "law"};
  try {
    teacher->signal(batch);
    FAIL() << "expected an error";
  } catch (const TeacherError& error) {
    EXPECT_STREQ(error.what(),
                 "data with the label `law` belong to no teacher; known labels: code, maths; a "
                 "teacher without `labels` takes all others");
  }
  EXPECT_THROW(make_labelled_teachers(two(teacher_of("a", a, {"x"}), teacher_of("b", a, {"x"}))),
               ConfigError);
  EXPECT_THROW(make_labelled_teachers(two(teacher_of("a", a), teacher_of("b", a))), ConfigError);
  EXPECT_THROW(make_labelled_teachers({}), ConfigError);
}

/// A teacher that asks somebody else.
class AskingTeacher final : public Teacher {
 public:
  explicit AskingTeacher(std::int64_t requests) : requests_(requests) {}
  types::TeacherSignal signal(const types::Batch&) override { return std::monostate(); }
  std::optional<TeacherCounts> counts() const override {
    return TeacherCounts{requests_, 2, 1, 0.5};
  }
  std::vector<std::string> summary() const override { return {"asked"}; }
  std::string describe() const override { return "asking"; }

 private:
  std::int64_t requests_;
};

TEST(SeveralTeachers, HandOnWhatTheirTeachersHaveToSay) {
  const auto ask = [](const std::string& name, std::int64_t requests) {
    return TeacherOfSeveral{name, std::make_unique<AskingTeacher>(requests), 1.0, {name}};
  };
  const auto a = model_of(1);
  const std::vector<std::unique_ptr<Teacher>> silent = [&] {
    std::vector<std::unique_ptr<Teacher>> all;
    all.push_back(make_labelled_teachers(two(teacher_of("a", a, {"x"}), teacher_of("b", a))));
    all.push_back(make_weighted_teachers(two(teacher_of("a", a), teacher_of("b", a))));
    return all;
  }();
  for (const auto& teacher : silent) {
    EXPECT_FALSE(teacher->counts().has_value());
    EXPECT_TRUE(teacher->summary().empty());
  }
  for (const bool weighted : {false, true}) {
    auto all = two(ask("a", 5), ask("b", 7));
    const auto teacher =
        weighted ? make_weighted_teachers(std::move(all)) : make_labelled_teachers(std::move(all));
    ASSERT_TRUE(teacher->counts().has_value());
    EXPECT_EQ(teacher->counts()->requests, 12);
    EXPECT_EQ(teacher->counts()->retries, 4);
    EXPECT_EQ(teacher->counts()->bad_answers, 2);
    EXPECT_EQ(teacher->counts()->seconds_waited, 1.0);
    EXPECT_EQ(teacher->summary(), (std::vector<std::string>{"`a`: asked", "`b`: asked"}));
  }
}

TEST(WeightedTeachers, SpeakOfAllPositionsByShare) {
  const auto a = model_of(1), b = model_of(2);
  auto teachers = two(teacher_of("a", a), teacher_of("b", b));
  teachers[0].weight = 3;
  const auto teacher = make_weighted_teachers(std::move(teachers));
  const auto signal = teacher->signal(three_segments());
  const auto& parts = std::get<types::PartedSignal>(signal).parts;
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_FALSE(parts[0].rows.defined());
  EXPECT_EQ(parts[0].weight, 0.75);
  EXPECT_EQ(parts[1].weight, 0.25);
  auto bad = two(teacher_of("a", a), teacher_of("b", b));
  bad[1].weight = 0;
  EXPECT_THROW(make_weighted_teachers(std::move(bad)), ConfigError);
}

TEST(TeachersByDifficulty, TheFirstWhoKnowsMoreThanTheStudentAnswers) {
  const auto student = model_of(3), cheap = model_of(4), large = model_of(5);
  const types::Batch batch = three_segments();
  const auto known = segment_nll(student->forward(batch.input), batch);
  const auto own = segment_nll(cheap->forward(batch.input), batch);
  bool had_both = false;
  for (const double margin : {-100.0, -0.5, -0.1, 0.0, 0.1, 0.5, 100.0}) {
    std::vector<std::int64_t> expected_cheap, expected_large;
    for (std::size_t s = 0; s < 3; ++s) {
      auto& rows = own[s] <= known[s] - margin ? expected_cheap : expected_large;
      for (std::int64_t t = batch.input.segments[s]; t < batch.input.segments[s + 1]; ++t) {
        rows.push_back(t);
      }
    }
    had_both = had_both || (!expected_cheap.empty() && !expected_large.empty());
    const auto teacher = make_teachers_by_difficulty(
        two(teacher_of("cheap", cheap), teacher_of("large", large)), student, margin);
    const auto signal = teacher->signal(batch);
    std::vector<std::int64_t> got_cheap, got_large;
    for (const auto& part : std::get<types::PartedSignal>(signal).parts) {
      const bool of_cheap =
          at::equal(hidden_of(part), cheap->forward(batch.input).hidden.index_select(0, part.rows));
      (of_cheap ? got_cheap : got_large) = rows_of(part);
      if (!of_cheap) {
        EXPECT_TRUE(at::equal(hidden_of(part),
                              large->forward(batch.input).hidden.index_select(0, part.rows)));
      }
    }
    EXPECT_EQ(got_cheap, expected_cheap) << margin;
    EXPECT_EQ(got_large, expected_large) << margin;
    EXPECT_EQ(teacher->summary().size(), 2u);
  }
  EXPECT_TRUE(had_both);
}

TEST(TeachersByDifficulty, RefusesAMarginThatIsNoNumber) {
  EXPECT_THROW(make_teachers_by_difficulty(two(teacher_of("a", model_of(1)), {}), model_of(1), NAN),
               ConfigError);
}

}  // namespace
}  // namespace distill::teachers
