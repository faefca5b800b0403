#include "unit/teachers/served_teacher.h"

namespace distill::teachers {
namespace {

TEST_F(ServerTeacherTest, AModelThatChangesEndsIt) {
  auto own = options();
  own.check_seconds = 0.05;
  auto teacher = make(own);
  const auto batch = batch_of(kTexts);
  for (int i = 0; i < 5; ++i) {
    teacher.signal(batch);
    std::this_thread::sleep_for(60ms);
  }
  scores_.use(toy(2));
  const auto message = message_of<TeacherError>([&] {
    for (int i = 0; i < 5; ++i) {
      teacher.signal(batch);
      std::this_thread::sleep_for(60ms);
    }
  });
  EXPECT_NE(message.find("the model has changed"), std::string::npos) << message;
  EXPECT_NE(message.find("`max_drift`"), std::string::npos) << message;
  scores_.use(toy());
  EXPECT_THROW(teacher.signal(batch), TeacherError) << "what came meanwhile may have been used";
}

TEST_F(ServerTeacherTest, AModelThatChangedWhileTheServerWasAwayIsNoticedAtOnce) {
  auto teacher = make(options());  // looks once a minute
  const auto batch = batch_of(kTexts);
  teacher.signal(batch);
  scores_.use(toy(2));
  auto calls = std::make_shared<std::atomic<int>>(0);
  behave([this, calls](const HttpCall& call) {
    return (*calls)++ < 3 ? HttpReply{.then = HttpReply::Then::kReset} : scores_(call);
  });
  const auto message = message_of<TeacherError>([&] { teacher.signal(batch); });
  EXPECT_NE(message.find("the model has changed"), std::string::npos) << message;
}

TEST_F(ServerTeacherTest, AServerThatCallsItselfSomethingElseEndsIt) {
  for (const auto api : {ServerApi::kVllm, ServerApi::kSglang}) {
    scores_.fingerprint = "v1";
    auto own = options();
    own.api = api;
    auto teacher = make(own);
    teacher.signal(batch_of(kTexts));
    scores_.fingerprint = "v2";
    const auto message = message_of<TeacherError>([&] { teacher.signal(batch_of(kTexts)); });
    EXPECT_NE(message.find("it was `v1` and is `v2` now"), std::string::npos) << message;
  }
}

TEST_F(ServerTeacherTest, RoundingIsNoChange) {
  auto own = options();
  own.check_seconds = 0.01;
  scores_.noise = 0.02;
  auto teacher = make(own);
  for (int i = 0; i < 10; ++i) {
    teacher.signal(batch_of(kTexts));
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_GT(teacher.counts()->requests, 30) << "the probe was asked too";
}

TEST_F(ServerTeacherTest, TheServerBehindEachConnectionIsAskedForItsModel) {
  testing::ScoreServer other(toy(2));
  // Three clients at once; behind one of them is another model, whose answer comes last.
  behave([&](const HttpCall& call) {
    const bool wrong = call.connection >= 3;
    auto answer = wrong ? other(call) : scores_(call);
    answer.delay = wrong ? 400ms : 150ms;
    return answer;
  });
  auto teacher = make(options());
  const auto message = message_of<TeacherError>([&] {
    for (int i = 0; i < 3; ++i) teacher.signal(batch_of(kTexts));
  });
  EXPECT_NE(message.find("the model has changed"), std::string::npos) << message;
}

TEST_F(ServerTeacherTest, AModelThatChangedBehindABadAnswerIsNoticedAtOnce) {
  auto own = options();
  own.server.parallel = 1;
  auto teacher = make(own);  // looks once a minute
  teacher.signal(batch_of(kTexts));
  scores_.use(toy(2));
  behave([this, n = std::make_shared<std::atomic<int>>(0)](const HttpCall& call) {
    return (*n)++ == 0 ? reply(200, "<html>proxy</html>") : scores_(call);
  });
  const auto message = message_of<TeacherError>([&] { teacher.signal(batch_of(kTexts)); });
  EXPECT_NE(message.find("the model has changed"), std::string::npos) << message;
}

TEST_F(ServerTeacherTest, AServerThatKeepsNoConnectionIsNotAskedTwiceForEachText) {
  behave([this](const HttpCall& call) {
    auto answer = scores_(call);
    const auto line = answer.bytes.find("\r\n") + 2;
    answer.bytes.insert(line, "Connection: close\r\n");
    answer.then = HttpReply::Then::kClose;
    return answer;
  });
  auto own = options();
  own.server.parallel = 1;
  auto teacher = make(own);
  const int before = num_asked();
  for (int i = 0; i < 10; ++i) teacher.signal(batch_of(kTexts));
  EXPECT_LE(num_asked() - before, 30 + 2);
}

}  // namespace
}  // namespace distill::teachers
