// How a teacher's process and its students fail, end, and wait for each other.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <distill/core/strings.h>
#include <distill/io/teacher_wire.h>

#include "dist/descriptor.h"
#include "unit/teachers/teacher_process.h"

namespace distill::teachers::in_process {
namespace {

using TeacherProcessEnds = TeacherProcessTest;

TEST_P(TeacherProcessEnds, NotFiniteAnswersAreRefusedByName) {
  ServedTeacher served(GetParam());
  served.teacher.spoil_after = 2;
  auto student = served.student();
  student->signal(batch_number(0));
  EXPECT_NE(message_of<TeacherError>([&] { student->signal(batch_number(1)); }).find("NaN or Inf"),
            std::string::npos);
}

TEST_P(TeacherProcessEnds, ATeacherThatFailsSaysWhyAndServesOthers) {
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

TEST_P(TeacherProcessEnds, IdsAndLengthsThatTheTeacherDoesNotHaveAreRefused) {
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

TEST_P(TeacherProcessEnds, ATeacherThatEndsIsNoticedSoon) {
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

TEST_P(TeacherProcessEnds, AStudentThatGoesWithoutAWordIsDropped) {
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

TEST_P(TeacherProcessEnds, SignsOfLifeKeepASlowTeacher) {
  ServedTeacher served(GetParam());
  auto student = served.student(/*timeout=*/0.4);
  served.teacher.delay_ms = 1200;
  student->signal(batch_number(0));
  EXPECT_GT(student->counts()->seconds_waited, 1.0);
}

TEST_P(TeacherProcessEnds, AStopEndsTheWait) {
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

TEST_P(TeacherProcessEnds, AStudentThatComesWhileTheTeacherLoadsWaitsForIt) {
  ServedTeacher served(GetParam(), at::kFloat, /*stay=*/false, /*still_loading=*/true);
  std::thread loader([&] {
    std::this_thread::sleep_for(1200ms);
    served.loading = false;
  });
  EXPECT_EQ(dense(served.student(/*timeout=*/0.4)->signal(batch_number(0))).hidden.size(0), 12);
  loader.join();
}

TEST_P(TeacherProcessEnds, AStudentThatIsDoneBeforeItsAnswersIsNotDropped) {
  ServedTeacher served(GetParam());
  auto student = served.student();
  served.teacher.delay_ms = 200;
  for (std::int64_t i = 0; i < 3; ++i) student->announce(batch_number(i));
  std::this_thread::sleep_for(50ms);
  student.reset();
  served.join();
  EXPECT_TRUE(served.log.has("student 1 is done"));
  EXPECT_FALSE(served.log.has("is dropped"));
}

TEST_P(TeacherProcessEnds, BatchesLargerThanASocketAreAskedForWithoutAWait) {
  ServedTeacher served(GetParam());
  auto student = served.student();
  served.teacher.delay_ms = 1000;
  std::vector<std::vector<std::int64_t>> rows(2000, std::vector<std::int64_t>(100, 1));
  const auto large = batch_of(rows);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) student->announce(large);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 900ms);
  served.teacher.delay_ms = 0;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(dense(student->signal(large)).hidden.size(0), 200'000);
}

INSTANTIATE_TEST_SUITE_P(Both, TeacherProcessEnds,
                         ::testing::Values(Transport::kShared, Transport::kC10d), name_of);

/// Connected as docs/formats/teacher_process.md says.
dist::detail::Descriptor raw_socket_to(const std::string& name) {
  const std::string path = core::concat("distill-teacher-", ::getuid(), "-", name);
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  std::ranges::copy(path, address.sun_path + 1);
  const auto size = offsetof(struct sockaddr_un, sun_path) + 1 + path.size();
  dist::detail::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<struct sockaddr*>(&address),
                      static_cast<socklen_t>(size)),
            0);
  return socket;
}

/// Half a message from one is no reason to let the others wait.
TEST(TeacherProcess, AStudentThatStallsHoldsUpNoOther) {
  ServedTeacher served(Transport::kShared, at::kFloat, /*stay=*/true);
  const auto stalled = raw_socket_to(served.name());
  ASSERT_EQ(::send(stalled.get(), "DTCH", 4, MSG_NOSIGNAL), 4);
  std::this_thread::sleep_for(300ms);
  auto student = served.student();
  const auto begin = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < 5; ++i) student->signal(batch_number(i));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

// What they are told last would wait two seconds for each, one after the other.
TEST(TeacherProcess, StudentsThatTakeNothingDoNotHoldUpItsEnd) {
  if (!dist::has_c10d()) GTEST_SKIP() << "built without gloo's headers";
  ServedTeacher served(Transport::kC10d, at::kFloat, /*stay=*/true);
  std::vector<std::unique_ptr<dist::Channel>> stalled;
  for (int i = 0; i < 7; ++i) {
    stalled.push_back(served.connect());  // without limits it takes no message
    stalled.back()->send(static_cast<std::uint32_t>(io::TeacherMessage::kHello),
                         testing::bytes_of(io::write_student_hello()));
  }
  served.student()->signal(batch_number(0));
  std::this_thread::sleep_for(500ms);  // all have come; what they are answered stays where it is
  const auto begin = std::chrono::steady_clock::now();
  served.end();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
  EXPECT_TRUE(served.log.has("student 8 has come"));
}

}  // namespace
}  // namespace distill::teachers::in_process
