// What a teacher in another process says, and when.
#include <distill/teachers/process_teacher.h>

#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>

#include <distill/ops/linear_divergence.h>

#include "unit/teachers/teacher_process.h"

namespace distill::teachers::in_process {
namespace {

using ProcessTeacherTest = TeacherProcessTest;

/// The sum of forward KL between a student and the teacher.
at::Tensor loss_of(const types::TeacherSignal& teacher, const types::Batch& batch) {
  const auto student = toy()->forward(batch.input);
  ops::LinearDivergenceInput input;
  input.student_hidden = student.hidden;
  input.student_head = student.head;
  input.teacher = teacher;
  input.labels = batch.labels;
  input.valid = batch.loss_mask;
  const ops::LogitTerm term{.kind = ops::LogitTermKind::kForwardKl};
  return ops::linear_divergence(input, std::span(&term, 1)).total;
}

TEST_P(ProcessTeacherTest, SaysWhatTheLocalTeacherSaysToTheBit) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    ServedTeacher served(GetParam(), dtype);
    const auto local = make_local_teacher(toy(dtype), "toy");
    auto student = served.student();
    EXPECT_EQ(student->facts().dtype, dtype == at::kFloat ? "fp32" : "bf16");
    for (std::int64_t i = 0; i < 5; ++i) {
      const auto batch = batch_number(i);
      const auto far = dense(student->signal(batch));
      const auto near = dense(local->signal(batch));
      ASSERT_EQ(far.hidden.sizes(), near.hidden.sizes());
      ASSERT_EQ(far.hidden.scalar_type(), dtype);
      const auto rows = batch.loss_mask;
      EXPECT_TRUE(at::equal(far.hidden.index({rows}), near.hidden.index({rows})));
      EXPECT_EQ(far.hidden.index({rows.logical_not()}).abs().sum().item<float>(), 0);
      EXPECT_TRUE(at::equal(far.head, near.head));
      EXPECT_EQ(far.transform, near.transform);
      EXPECT_TRUE(at::equal(loss_of(far, batch), loss_of(near, batch)));
    }
  }
}

TEST_P(ProcessTeacherTest, AnnouncedBatchesAreReadyWhenTheyAreAskedFor) {
  ServedTeacher served(GetParam());
  const auto local = make_local_teacher(toy(), "toy");
  auto student = served.student();
  served.teacher.delay_ms = 60;
  for (std::int64_t i = 0; i < 8; ++i) student->announce(batch_number(i));
  std::this_thread::sleep_for(500ms);
  EXPECT_LE(served.teacher.asked, 1 + 3) << "only a few are under way";
  EXPECT_GE(served.teacher.asked, 1 + 3);
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < 8; ++i) {
    const auto batch = batch_number(i);
    const auto rows = batch.loss_mask;
    EXPECT_TRUE(at::equal(dense(student->signal(batch)).hidden.index({rows}),
                          dense(local->signal(batch)).hidden.index({rows})));
    if (i == 2) {
      EXPECT_LT(std::chrono::steady_clock::now() - begin, 55ms) << "were there already";
    }
  }
  EXPECT_EQ(served.teacher.asked, 1 + 8) << "each is asked once";
}

TEST_P(ProcessTeacherTest, SkippedBatchesAreForgottenAndOthersComeUnannounced) {
  ServedTeacher served(GetParam());
  const auto local = make_local_teacher(toy(), "toy");
  auto student = served.student();
  for (std::int64_t i = 0; i < 10; ++i) student->announce(batch_number(i));
  for (const std::int64_t i : {25, 6, 26, 9, 3}) {
    const auto batch = batch_number(i);
    EXPECT_TRUE(
        at::equal(loss_of(student->signal(batch), batch), loss_of(local->signal(batch), batch)))
        << i;
  }
}

TEST_P(ProcessTeacherTest, AnswersThatWaitForTrainingStayFewWhileOthersAreAsked) {
  // As an evaluation between two steps: each of its batches lets one more answer come in.
  ServedTeacher served(GetParam());
  const auto local = make_local_teacher(toy(), "toy");
  auto student = served.student();
  for (std::int64_t i = 0; i < 64; ++i) student->announce(batch_number(i));
  for (std::int64_t i = 100; i < 140; ++i) student->signal(batch_number(i));
  EXPECT_LE(served.teacher.asked, 1 + 40 + 3);
  for (std::int64_t i = 0; i < 64; ++i) {
    const auto batch = batch_number(i);
    EXPECT_TRUE(
        at::equal(loss_of(student->signal(batch), batch), loss_of(local->signal(batch), batch)))
        << i;
  }
  EXPECT_EQ(served.teacher.asked, 1 + 40 + 64) << "each is asked once";
}

TEST_P(ProcessTeacherTest, SignalsThatAreKeptStayAsTheyAre) {
  ServedTeacher served(GetParam());
  const auto local = make_local_teacher(toy(), "toy");
  auto student = served.student();
  std::vector<types::TeacherSignal> kept;
  for (std::int64_t i = 0; i < 60; ++i) kept.push_back(student->signal(batch_number(i)));
  for (std::int64_t i = 0; i < 60; ++i) {
    const auto rows = batch_number(i).loss_mask;
    EXPECT_TRUE(at::equal(dense(kept[static_cast<size_t>(i)]).hidden.index({rows}),
                          dense(local->signal(batch_number(i))).hidden.index({rows})))
        << i;
  }
}

TEST_P(ProcessTeacherTest, BatchesOfAllSizesAndWithoutTargetsAreAnswered) {
  ServedTeacher served(GetParam());
  auto student = served.student();
  for (const std::int64_t length : {2, 90, 3, 100, 50}) {
    std::vector<std::vector<std::int64_t>> rows;
    for (std::int64_t i = 0; i < length; ++i) {
      rows.emplace_back(static_cast<std::size_t>(length), i % kIds);
    }
    EXPECT_EQ(dense(student->signal(batch_of(rows))).hidden.size(0), length * length);
  }
  auto nothing = batch_number(1);
  nothing.loss_mask.fill_(false);
  EXPECT_EQ(dense(student->signal(nothing)).hidden.abs().sum().item<float>(), 0);
}

TEST_P(ProcessTeacherTest, BothCountWhatWasHandedOverAndTheTeacherEndsWithItsStudent) {
  ServedTeacher served(GetParam());
  auto student = served.student();
  for (std::int64_t i = 0; i < 4; ++i) student->signal(batch_number(i));
  const auto seen = student->counts().value();
  EXPECT_EQ(seen.requests, 4);
  EXPECT_EQ(seen.bytes, 4u * 8 * 8 * 4) << "8 of 12 positions count, of 8 numbers in fp32";
  EXPECT_EQ(seen.logit_bytes, 4u * 8 * kIds * 4);
  EXPECT_NE(student->summary().at(0).find("5.0 times as much"), std::string::npos);
  const std::string likeness = student->likeness().value();
  EXPECT_NE(likeness.find(R"("weights":")" + std::string(32, 'a')), std::string::npos) << likeness;
  EXPECT_NO_THROW(student->require_likeness(likeness));
  EXPECT_THROW(student->require_likeness("{}"), TeacherError);
  EXPECT_NE(student->describe().find("process toy at"), std::string::npos);
  student.reset();
  served.join();
  EXPECT_EQ(served.counts.students, 1);
  EXPECT_EQ(served.counts.requests, 4);
  EXPECT_EQ(served.counts.tokens, 48);
  EXPECT_EQ(served.counts.positions, 32);
  EXPECT_EQ(served.counts.bytes, seen.bytes);
  EXPECT_EQ(served.counts.logit_bytes, seen.logit_bytes);
  EXPECT_EQ(served.counts.head_bytes, static_cast<std::uint64_t>(kIds) * 8 * 4);
  EXPECT_TRUE(served.log.has("student 1 is done"));
}

TEST_P(ProcessTeacherTest, SeveralStudentsAreServedAtOnce) {
  ServedTeacher served(GetParam(), at::kFloat, /*stay=*/true);
  const auto local = make_local_teacher(toy(), "toy");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int s = 0; s < 3; ++s) {
    threads.emplace_back([&, s] {
      auto student = served.student();
      for (std::int64_t i = 0; i < 10; ++i) student->announce(batch_number(s * 100 + i));
      for (std::int64_t i = 0; i < 10; ++i) {
        const auto batch = batch_number(s * 100 + i);
        const auto rows = batch.loss_mask;
        if (!at::equal(dense(student->signal(batch)).hidden.index({rows}),
                       dense(local->signal(batch)).hidden.index({rows}))) {
          ++wrong;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  served.end();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(served.counts.students, 3);
  EXPECT_EQ(served.counts.requests, 30);
}

INSTANTIATE_TEST_SUITE_P(Both, ProcessTeacherTest,
                         ::testing::Values(Transport::kShared, Transport::kC10d), name_of);

}  // namespace
}  // namespace distill::teachers::in_process
