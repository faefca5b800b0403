#include <distill/teachers/process_teacher.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/roll.h>

#include <distill/core/interrupted.h>
#include <distill/ops/linear_divergence.h>
#include <distill/teachers/local_teacher.h>
#include <distill/teachers/teacher_service.h>

#include "support/channel_pair.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::teachers {
namespace {

using testing::message_of;
using testing::scratch_name;
using testing::ToyModel;
using testing::Transport;
using namespace std::chrono_literals;

constexpr std::int64_t kIds = 40;

std::shared_ptr<ToyModel> toy(at::ScalarType dtype = at::kFloat) {
  return std::make_shared<ToyModel>(ToyModel::Options{
      .vocab_size = kIds, .dtype = dtype, .scale = 3, .transform = {.scale = 0.7, .softcap = 20}});
}

types::Batch batch_of(const std::vector<std::vector<std::int64_t>>& sequences) {
  types::Batch batch;
  batch.input = types::pack(sequences);
  batch.loss_mask = at::ones({batch.input.input_ids.numel()}, at::kBool);
  batch.labels = at::roll(batch.input.input_ids, {-1}, {0});
  for (std::size_t s = 1; s < batch.input.segments.size(); ++s) {
    batch.loss_mask[batch.input.segments[s] - 1] = false;
  }
  batch.loss_mask[0] = false;
  return batch;
}

types::Batch batch_number(std::int64_t i) {
  return batch_of({{i % kIds, 1, 2, (i * 7) % kIds, 5}, {9, 8, i % 11}, {30, 31, 32, i % 5}});
}

/// A teacher that counts, and waits before each answer.
class SlowTeacher final : public Teacher {
 public:
  explicit SlowTeacher(std::unique_ptr<Teacher> teacher) : teacher_(std::move(teacher)) {}
  types::TeacherSignal signal(const types::Batch& batch) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms.load()));
    if (++asked > spoil_after) {
      auto dense = std::get<types::DenseHidden>(teacher_->signal(batch));
      dense.hidden = dense.hidden.clone();
      dense.hidden.select(0, 1).fill_(std::numeric_limits<float>::quiet_NaN());
      return dense;
    }
    if (asked > fail_after) fail<Error>("out\nof memory");
    return teacher_->signal(batch);
  }
  std::string describe() const override { return teacher_->describe(); }

  std::atomic<int> delay_ms{0};
  std::atomic<int> asked{0};
  std::atomic<int> spoil_after{1 << 30};
  std::atomic<int> fail_after{1 << 30};

 private:
  std::unique_ptr<Teacher> teacher_;
};

/// A teacher's process as a thread.
class ServedTeacher {
 public:
  explicit ServedTeacher(Transport transport, at::ScalarType dtype = at::kFloat, bool stay = false)
      : teacher(make_local_teacher(toy(dtype), "toy")), name_(scratch_name()) {
    listener_ = transport == Transport::kShared ? dist::listen_shared(name_)
                                                : dist::listen_c10d("127.0.0.1:0");
    where_ = listener_->describe();
    ServiceOptions options;
    options.facts.model = "toy";
    options.facts.weights = std::string(32, 'a');
    options.facts.tokenizer = std::string(32, 'b');
    options.facts.max_positions = 100;
    options.stay = stay;
    options.beat_seconds = 0.05;
    thread_ = std::thread([this, options] {
      counts = serve_teacher(teacher, *listener_, options, log, &stop);
      listener_.reset();
    });
  }
  ~ServedTeacher() { end(); }
  void end() {
    stop.request(1);
    join();
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  std::unique_ptr<dist::Channel> connect() const {
    return where_.starts_with("shared") ? dist::connect_shared(name_, {.timeout_seconds = 10})
                                        : dist::connect_c10d(where_, {.timeout_seconds = 10});
  }
  std::unique_ptr<ProcessTeacher> student(double timeout = 20,
                                          const core::StopFlag* flag = nullptr) const {
    return std::make_unique<ProcessTeacher>(
        connect(), ProcessTeacherOptions{.where = where_, .timeout_seconds = timeout}, flag);
  }

  SlowTeacher teacher;
  testing::RecordingLogger log;
  core::StopFlag stop;
  ServiceCounts counts;

 private:
  std::string name_;
  std::string where_;
  std::unique_ptr<dist::Listener> listener_;
  std::thread thread_;
};

types::DenseHidden dense(const types::TeacherSignal& signal) {
  return std::get<types::DenseHidden>(signal);
}

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

class ProcessTeacherTest : public ::testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    if (GetParam() == Transport::kC10d && !dist::has_c10d()) {
      GTEST_SKIP() << "built without gloo's headers";
    }
  }
};

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

TEST_P(ProcessTeacherTest, NotFiniteAnswersAreRefusedByName) {
  ServedTeacher served(GetParam());
  served.teacher.spoil_after = 2;
  auto student = served.student();
  student->signal(batch_number(0));
  EXPECT_NE(message_of<TeacherError>([&] { student->signal(batch_number(1)); }).find("NaN or Inf"),
            std::string::npos);
}

TEST_P(ProcessTeacherTest, ATeacherThatFailsSaysWhyAndServesOthers) {
  ServedTeacher served(GetParam(), at::kFloat, /*stay=*/true);
  served.teacher.fail_after = 2;
  auto student = served.student();
  student->announce(batch_number(0));
  student->announce(batch_number(1));
  student->signal(batch_number(0));
  EXPECT_NE(message_of<TeacherError>([&] { student->signal(batch_number(1)); }).find("of memory"),
            std::string::npos);
  served.teacher.fail_after = 1 << 30;
  served.student()->signal(batch_number(2));
  EXPECT_TRUE(served.log.has("student 1 is dropped"));
}

TEST_P(ProcessTeacherTest, IdsAndLengthsThatTheTeacherDoesNotHaveAreRefused) {
  ServedTeacher served(GetParam(), at::kFloat, /*stay=*/true);
  EXPECT_NE(message_of<TeacherError>([&] {
              served.student()->signal(batch_of({{1, kIds, 2}}));
            }).find("has 40 ids, it was asked for 40"),
            std::string::npos);
  EXPECT_NE(message_of<TeacherError>([&] {
              served.student()->signal(batch_of({std::vector<std::int64_t>(101, 1)}));
            }).find("has 100 positions, it was asked for 101"),
            std::string::npos);
}

TEST_P(ProcessTeacherTest, ATeacherThatEndsIsNoticedSoon) {
  ServedTeacher served(GetParam());
  auto student = served.student();
  student->signal(batch_number(0));
  served.end();
  const auto begin = std::chrono::steady_clock::now();
  student->announce(batch_number(1));
  const auto message = message_of<TeacherError>([&] { student->signal(batch_number(1)); });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_NE(message.find("start it again"), std::string::npos) << message;
  EXPECT_LT(message.size(), 300u) << message;
}

TEST_P(ProcessTeacherTest, AStudentThatGoesWithoutAWordIsDropped) {
  ServedTeacher served(GetParam());
  {
    auto channel = served.connect();
    channel->set_limits({1 << 16, 0});
    const std::string hello = io::write_student_hello();
    channel->send(1, testing::bytes_of(hello));
    ASSERT_TRUE(channel->receive(10));
  }
  served.join();
  EXPECT_TRUE(served.log.has("student 1 is dropped"));
}

TEST_P(ProcessTeacherTest, SignsOfLifeKeepASlowTeacher) {
  ServedTeacher served(GetParam());
  auto student = served.student(/*timeout=*/0.4);
  served.teacher.delay_ms = 1200;
  student->signal(batch_number(0));
  EXPECT_GT(student->counts()->seconds_waited, 1.0);
}

TEST_P(ProcessTeacherTest, AStopEndsTheWait) {
  ServedTeacher served(GetParam());
  core::StopFlag stop;
  auto student = served.student(20, &stop);
  served.teacher.delay_ms = 1500;
  std::thread stopper([&] {
    std::this_thread::sleep_for(200ms);
    stop.request(15);
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(message_of<Interrupted>([&] { student->signal(batch_number(0)); }).find("signal 15"),
            std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1200ms);
  stopper.join();
}

INSTANTIATE_TEST_SUITE_P(Both, ProcessTeacherTest,
                         ::testing::Values(Transport::kShared, Transport::kC10d),
                         [](const auto& one) {
                           return one.param == Transport::kShared ? "Shared" : "C10d";
                         });

}  // namespace
}  // namespace distill::teachers
