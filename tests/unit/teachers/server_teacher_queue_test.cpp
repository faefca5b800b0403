#include "unit/teachers/served_teacher.h"

namespace distill::teachers {
namespace {

TEST_F(ServerTeacherTest, AnnouncedBatchesAreAskedInTheBackgroundAndOnce) {
  auto teacher = make(options());
  const auto expected = straight(batch_of(kTexts));
  const int before = num_asked();
  behave([this](const HttpCall& call) {
    auto answer = scores_(call);
    answer.delay = 150ms;
    return answer;
  });
  for (int i = 0; i < 3; ++i) teacher.announce(batch_of(kTexts));
  std::this_thread::sleep_for(900ms);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) expect_equal(top_k(teacher.signal(batch_of(kTexts))), expected);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 140ms) << "it was there already";
  EXPECT_LE(num_asked() - before, 3 + 3) << "equal segments in flight are asked once";
  EXPECT_EQ(server_.most_at_once(), 3);
  EXPECT_LT(teacher.counts()->seconds_waited, 0.1);
  EXPECT_LE(teacher.counts()->requests, 4 + 3) << "and the probe, on new connections";
}

TEST_F(ServerTeacherTest, WhatNobodyWantsAnyMoreIsNotAsked) {
  auto own = options();
  own.server.parallel = 1;
  auto teacher = make(own);
  behave([this](const HttpCall& call) {
    auto answer = scores_(call);
    answer.delay = 50ms;
    return answer;
  });
  const int before = num_asked();
  teacher.announce(batch_of({{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}, {11, 12}}));
  teacher.announce(batch_of({{20, 21}}));
  teacher.signal(batch_of({{20, 21}}));  // a run that went on from another place
  EXPECT_LE(num_asked() - before, 4);
}

TEST_F(ServerTeacherTest, SegmentsWithoutTargetsAreNotAsked) {
  auto teacher = make(options());
  const int before = num_asked();
  auto batch = batch_of({{1, 2, 3}, {4}});
  batch.loss_mask.fill_(false);
  const auto signal = top_k(teacher.signal(batch));
  EXPECT_EQ(num_asked(), before);
  EXPECT_EQ(signal.ids.size(0), 4);
  EXPECT_NEAR(signal.log_probs.exp().sum(1)[0].item<double>(), 8.0 / kIds, 1e-6);
}

TEST_F(ServerTeacherTest, CanBeStoppedWhileItWaits) {
  auto own = options();
  own.server.timeout_seconds = 600;
  auto teacher = make(own);
  behave([](const HttpCall&) { return HttpReply{.then = HttpReply::Then::kSilence}; });
  const auto start = std::chrono::steady_clock::now();
  std::thread signal([this] {
    std::this_thread::sleep_for(300ms);
    stop_.request(15);
  });
  const auto message = message_of<Interrupted>([&] { teacher.signal(batch_of(kTexts)); });
  signal.join();
  EXPECT_NE(message.find("stopped by signal 15 while waiting"), std::string::npos) << message;
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST_F(ServerTeacherTest, EndsWhileItIsAskedSomething) {
  behave([this, n = std::make_shared<std::atomic<int>>(0)](const HttpCall& call) {
    return (*n)++ == 0 ? scores_(call) : HttpReply{.then = HttpReply::Then::kSilence};
  });
  auto own = options();
  own.server.timeout_seconds = 600;
  const auto start = std::chrono::steady_clock::now();
  {
    auto teacher = make(own);
    teacher.announce(batch_of(kTexts));
    std::this_thread::sleep_for(100ms);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST_F(ServerTeacherTest, CanBeStoppedWhileItIsFirstAsked) {
  auto own = options();
  own.server.timeout_seconds = 600;
  behave([](const HttpCall&) { return HttpReply{.then = HttpReply::Then::kSilence}; });
  std::thread signal([this] {
    std::this_thread::sleep_for(300ms);
    stop_.request(15);
  });
  const auto message = message_of<Interrupted>([&] { make(own); });
  signal.join();
  EXPECT_NE(message.find("stopped by signal 15 while waiting"), std::string::npos) << message;
}

}  // namespace
}  // namespace distill::teachers
