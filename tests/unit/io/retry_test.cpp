#include <distill/io/retry.h>

#include <deque>

#include <gtest/gtest.h>

#include "support/recording_logger.h"

namespace distill::io {
namespace {

/// Waits in no time, and remembers.
class FakeClock : public RetryClock {
 public:
  double seconds() override { return now; }
  double unix_seconds() override { return 1'790'000'000 + now; }
  bool wait(double seconds) override {
    waits.push_back(seconds);
    now += seconds;
    return waits.size() < cancelled_at;
  }
  double now = 1000;
  std::vector<double> waits;
  std::size_t cancelled_at = 1000;
};

/// What one try ends with: a status, or a failure.
struct End {
  int status = 0;
  HttpFailure failure = HttpFailure::kBroken;
  std::string retry_after = {};
  double takes = 0;  ///< seconds
};

class RetryTest : public ::testing::Test {
 protected:
  /// The last entry is repeated.
  HttpResponse send(std::deque<End> ends) {
    Retrier retrier(options_, clock_, core::RandomState(7), log_, counter_);
    return retrier.send("http://host/v1", [&] {
      const End end = ends.front();
      if (ends.size() > 1) ends.pop_front();
      ++tries_;
      clock_.now += end.takes;
      if (end.status == 0) throw HttpError(end.failure, "http://host/v1: broke off");
      return HttpResponse{.status = end.status, .retry_after = end.retry_after};
    });
  }
  std::pair<HttpFailure, std::string> failure(std::deque<End> ends) {
    try {
      ADD_FAILURE() << "answered " << send(std::move(ends)).status;
    } catch (const HttpError& error) {
      return {error.failure(), error.what()};
    }
    return {};
  }

  RetryOptions options_;
  FakeClock clock_;
  testing::RecordingLogger log_;
  std::atomic<std::int64_t> counter_{0};
  int tries_ = 0;
};

TEST_F(RetryTest, WhatMaySucceedLaterIsSentAgain) {
  for (const int status : {408, 409, 429, 500, 502, 503, 504, 529}) {
    tries_ = 0;
    EXPECT_EQ(send({{status}, {200}}).status, 200);
    EXPECT_EQ(tries_, 2) << status;
  }
  for (const auto failed : {HttpFailure::kUnresolved, HttpFailure::kRefused, HttpFailure::kTimeout,
                            HttpFailure::kBroken}) {
    tries_ = 0;
    EXPECT_EQ(send({{0, failed}, {200}}).status, 200);
    EXPECT_EQ(tries_, 2);
  }
}

TEST_F(RetryTest, WhatStaysWrongIsNot) {
  for (const int status : {200, 204, 301, 307, 400, 401, 403, 404, 413, 422, 501, 505}) {
    EXPECT_EQ(send({{status}}).status, status);
  }
  for (const auto failed : {HttpFailure::kTls, HttpFailure::kTooLarge, HttpFailure::kNotHttp,
                            HttpFailure::kCancelled}) {
    EXPECT_EQ(failure({{0, failed}}), std::pair(failed, std::string("http://host/v1: broke off")));
  }
  EXPECT_TRUE(clock_.waits.empty());
  EXPECT_TRUE(log_.lines.empty());
}

TEST_F(RetryTest, WaitsDoubleWithinBoundsAndARandomPart) {
  options_ = {.max_retries = 12, .first_wait = 1, .longest_wait = 20};
  EXPECT_EQ(send({{503}}).status, 503);
  ASSERT_EQ(clock_.waits.size(), 12u);
  double expected = 1;
  for (const double wait : clock_.waits) {
    EXPECT_GE(wait, expected / 2);
    EXPECT_LE(wait, expected);
    expected = std::min(2 * expected, 20.0);
  }
  core::RandomState one(1);
  core::RandomState other(2);
  EXPECT_NE(back_off(options_, 3, one), back_off(options_, 3, other));
  EXPECT_LE(back_off(options_, 1'000'000, one), 20);
}

TEST_F(RetryTest, GivesUpAfterSoManyAndSaysSo) {
  options_.max_retries = 3;
  const auto [failed, message] = failure({{0, HttpFailure::kRefused}});
  EXPECT_EQ(failed, HttpFailure::kRefused);
  EXPECT_TRUE(message.starts_with("http://host/v1: broke off; tried 4 times in ")) << message;
  EXPECT_EQ(tries_, 4);
  options_.max_retries = 0;
  tries_ = 0;
  EXPECT_EQ(send({{503}}).status, 503);
  EXPECT_EQ(tries_, 1);
}

TEST_F(RetryTest, TimeInAllIsBounded) {
  options_ = {.max_retries = 1000, .first_wait = 10, .longest_wait = 10, .total_seconds = 100};
  const double begin = clock_.now;
  EXPECT_EQ(send({{503, {}, "", 20}}).status, 503);
  EXPECT_LE(clock_.now - begin, 100 + 20);
  EXPECT_GT(tries_, 2);
}

TEST_F(RetryTest, WaitsAsLongAsTheServerAsksWithinBounds) {
  send({{429, {}, "7"}, {503, {}, "Wed, 31 Dec 2098 23:59:59 GMT"}, {503, {}, "soon"}, {200}});
  ASSERT_EQ(clock_.waits.size(), 3u);
  EXPECT_GE(clock_.waits[0], 7);
  EXPECT_LE(clock_.waits[0], 7.5);
  EXPECT_GE(clock_.waits[1], 60);
  EXPECT_LE(clock_.waits[1], 61);
  EXPECT_LE(clock_.waits[2], 2);
}

TEST(ParseRetryAfter, TakesSecondsAndDates) {
  const auto parse = [](const std::string& text) { return parse_retry_after(text, 1445412470); };
  EXPECT_EQ(parse("0"), 0.0);
  EXPECT_EQ(parse("120"), 120.0);
  EXPECT_EQ(parse("1.5"), 1.5);
  EXPECT_EQ(parse("Wed, 21 Oct 2015 07:28:00 GMT"), 10.0);
  EXPECT_EQ(parse("Wed, 21 Oct 2015 07:27:00 GMT"), 0.0);
  for (const char* text :
       {"", "-1", "1e9", "nan", "inf", "soon", "10 s", "0x10", "next Monday at"}) {
    EXPECT_EQ(parse(text), std::nullopt) << text;
  }
}

TEST_F(RetryTest, EveryRetryIsCountedAndShown) {
  send({{429}, {0, HttpFailure::kBroken}, {200}});
  ASSERT_EQ(log_.lines.size(), 2u);
  EXPECT_TRUE(log_.lines[0].starts_with("http://host/v1: answered 429; retry 1 of 8 in 0."))
      << log_.lines[0];
  EXPECT_TRUE(log_.lines[0].ends_with("(1 so far)"));
  EXPECT_TRUE(log_.lines[1].starts_with("http://host/v1: broke off; retry 2 of 8 in "));
  EXPECT_TRUE(log_.lines[1].ends_with("(2 so far)"));
  EXPECT_EQ(counter_, 2);
}

TEST_F(RetryTest, WaitingCanBeCancelled) {
  clock_.cancelled_at = 2;
  EXPECT_EQ(failure({{503}}).first, HttpFailure::kCancelled);
  EXPECT_EQ(tries_, 2);
}

TEST(SystemClock, WaitsAndStopsWaiting) {
  const auto clock = make_system_clock([] { return false; });
  const double begin = clock->seconds();
  EXPECT_TRUE(clock->wait(0.02));
  EXPECT_GE(clock->seconds() - begin, 0.02);
  EXPECT_GT(clock->unix_seconds(), 1.7e9);
  EXPECT_FALSE(make_system_clock([] { return true; })->wait(3600));
}

}  // namespace
}  // namespace distill::io
