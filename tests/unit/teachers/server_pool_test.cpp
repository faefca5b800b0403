#include <distill/teachers/server_pool.h>

#include <chrono>
#include <set>

#include <gtest/gtest.h>

#include "support/http_server.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::teachers {
namespace {

using testing::HttpCall;
using testing::HttpReply;
using testing::HttpServer;
using testing::message_of;
using testing::reply;
using namespace std::chrono_literals;

HttpReply models() {
  return reply(200, R"({"data":[{"id":"m"}]})");
}

/// Says the prompt again.
HttpReply echo(const HttpCall& call) {
  if (call.method == "GET") return models();
  const auto begin = call.body.find("\"prompt\":\"") + 10;
  return reply(200, R"({"model":"m","choices":[{"index":0,"text":")" +
                        call.body.substr(begin, call.body.find('"', begin) - begin) +
                        R"(","finish_reason":"stop"}]})");
}

class ServerPoolTest : public ::testing::Test {
 protected:
  ServerOptions options(const HttpServer& server, std::int64_t parallel = 4) {
    ServerOptions options{.url = server.url("/v1"), .model = "m"};
    options.parallel = parallel;
    options.retry = {.max_retries = 2, .first_wait = 0.01, .longest_wait = 0.02};
    return options;
  }
  std::vector<std::string> ask(ServerPool& pool, std::size_t count) {
    std::vector<std::string> texts(count);
    pool.run(count, [&](OpenAiClient& client, std::size_t i) {
      texts[i] = client.complete({.prompt = std::to_string(i)}).answers.at(0).text;
    });
    return texts;
  }

  testing::RecordingLogger log_;
  core::StopFlag stop_;
};

TEST_F(ServerPoolTest, SeveralAtOnceAndAnswersAtTheirPlaces) {
  HttpServer server([](const HttpCall& call) {
    auto answer = echo(call);
    answer.delay = std::chrono::milliseconds(5 + 7 * (call.number % 3));
    return answer;
  });
  ServerPool pool(options(server), log_, &stop_);
  for (int round = 0; round < 2; ++round) {
    const auto texts = ask(pool, 25);
    for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], std::to_string(i));
  }
  EXPECT_GT(server.most_at_once(), 1);
  EXPECT_LE(server.most_at_once(), 4);
  std::set<int> connections;
  for (const auto& call : server.calls()) connections.insert(call.connection);
  EXPECT_LE(connections.size(), 5u) << "they are kept";
  ServerPool one(options(server, 1), log_, nullptr);
  EXPECT_EQ(ask(one, 0).size(), 0u);
  EXPECT_EQ(ask(one, 3).back(), "2");
}

TEST_F(ServerPoolTest, RetriesAreCountedOverAllClients) {
  HttpServer server(
      [](const HttpCall& call) { return call.number % 2 == 1 ? reply(503, "") : echo(call); });
  ServerPool pool(options(server, 1), log_, nullptr);
  ask(pool, 6);
  EXPECT_EQ(pool.num_retries(), 6);
  EXPECT_EQ(log_.lines.size(), 6u);
}

TEST_F(ServerPoolTest, OneFailureEndsAllAndIsTheOneThatIsTold) {
  HttpServer server([](const HttpCall& call) {
    if (call.method == "GET") return models();
    if (call.body.find("\"prompt\":\"2\"") != std::string::npos) return reply(400, "wrong");
    auto slow = echo(call);
    slow.delay = 60s;
    return slow;
  });
  ServerPool pool(options(server), log_, nullptr);
  const auto begin = std::chrono::steady_clock::now();
  const auto message = message_of<TeacherError>([&] { ask(pool, 100); });
  EXPECT_NE(message.find("answered 400, `wrong`"), std::string::npos) << message;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  EXPECT_LE(server.calls().size(), 6u);
}

TEST_F(ServerPoolTest, CanBeStopped) {
  HttpServer server([&](const HttpCall& call) {
    if (call.number == 3) stop_.request(2);
    auto answer = echo(call);
    if (call.number > 3) answer.delay = 60s;
    return answer;
  });
  ServerPool pool(options(server), log_, &stop_);
  try {
    ask(pool, 100);
    ADD_FAILURE() << "not stopped";
  } catch (const io::HttpError& error) {
    EXPECT_EQ(error.failure(), io::HttpFailure::kCancelled);
  }
}

TEST_F(ServerPoolTest, AWrongStartIsToldSoon) {
  HttpServer server(echo);
  auto wrong = options(server);
  wrong.model = "n";
  EXPECT_NE(message_of<InputError>([&] { ServerPool(wrong, log_, nullptr); }).find("it serves `m`"),
            std::string::npos);
  wrong.parallel = 0;
  EXPECT_THROW(ServerPool(wrong, log_, nullptr), InputError);
  auto nobody = options(server);
  nobody.url = "http://127.0.0.1:" + std::to_string(testing::unused_port()) + "/v1";
  nobody.retry.max_retries = 100;
  const auto message = message_of<io::HttpError>([&] { ServerPool(nobody, log_, nullptr); });
  EXPECT_NE(message.find("is the server running?"), std::string::npos) << message;
  EXPECT_NE(message.find("tried 3 times"), std::string::npos) << message;
}

TEST_F(ServerPoolTest, AKeyThatGoesOpenlyIsSaidBeforeItIsSent) {
  HttpServer server(echo);
  auto own = options(server);
  own.api_key = "sk-0123";
  ServerPool(own, log_, nullptr);
  EXPECT_FALSE(log_.has("without encryption")) << "it stays on this machine";
  stop_.request(2);  // before anything can be sent
  for (const char* host : {"localhost.invalid", "127.0.0.1.invalid", "203.0.113.7"}) {
    log_.lines.clear();
    own.url = std::string("http://") + host + "/v1";
    EXPECT_THROW(ServerPool(own, log_, &stop_), io::HttpError) << host;
    EXPECT_TRUE(log_.has("without encryption")) << host;
  }
  log_.lines.clear();
  own.api_key = "";
  EXPECT_THROW(ServerPool(own, log_, &stop_), io::HttpError);
  EXPECT_FALSE(log_.has("without encryption"));
}

}  // namespace
}  // namespace distill::teachers
