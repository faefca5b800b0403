#include <distill/teachers/openai_client.h>

#include <deque>

#include <gtest/gtest.h>

#include <distill/io/json_value.h>

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

/// Retries wait in no time.
class NoWaiting : public io::RetryClock {
 public:
  double seconds() override { return 0; }
  double unix_seconds() override { return 0; }
  bool wait(double) override { return true; }
};

const std::string kAnswer =
    R"({"model":"m","choices":[{"index":0,"text":"hello","finish_reason":"stop"}]})";
const std::string kKey = "sk-very-secret-0123";

class OpenAiClientTest : public ::testing::Test {
 protected:
  /// Each reply once, the last one again and again.
  void script(std::deque<HttpReply> replies) {
    server_ = std::make_unique<HttpServer>([replies](const HttpCall& call) {
      return replies[std::min<std::size_t>(static_cast<std::size_t>(call.number),
                                           replies.size() - 1)];
    });
  }
  OpenAiClient client() {
    ServerOptions options{.url = server_->url("/v1/"), .model = "m", .api_key = key_};
    options.timeout_seconds = timeout_;
    return OpenAiClient(options, {log_, clock_, retries_});
  }
  std::string completion() { return client().complete({.prompt = "p"}).answers.at(0).text; }
  template <class E>
  std::string refusal() {
    const auto message = message_of<E>([&] { completion(); });
    EXPECT_TRUE(message.starts_with(server_->url("/v1/completions:"))) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    EXPECT_EQ(message.find(kKey), std::string::npos) << message;
    for (const auto& line : log_.lines) EXPECT_EQ(line.find(kKey), std::string::npos) << line;
    return message;
  }

  std::string key_ = kKey;
  double timeout_ = 10;
  testing::RecordingLogger log_;
  NoWaiting clock_;
  std::atomic<std::int64_t> retries_{0};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(OpenAiClientTest, AsksAndReads) {
  script({reply(200, kAnswer)});
  EXPECT_EQ(completion(), "hello");
  const auto call = server_->calls().at(0);
  EXPECT_EQ(call.method, "POST");
  EXPECT_EQ(call.path, "/v1/completions");
  EXPECT_EQ(call.headers.at("authorization"), "Bearer " + kKey);
  EXPECT_EQ(call.headers.at("content-type"), "application/json");
  const auto body = io::parse_json(call.body, "body");
  EXPECT_EQ(io::JsonCursor(body, "body").at("prompt").as_string(), "p");
}

TEST_F(OpenAiClientTest, WithoutAKeyNoneIsSent) {
  key_ = "";
  script({reply(200, R"({"model":"m","choices":[{"index":0,"message":{"content":"hi"},)"
                     R"("finish_reason":"stop"}]})")});
  EXPECT_EQ(client().chat({.messages = {{"user", "u"}}}).answers.at(0).text, "hi");
  EXPECT_EQ(server_->calls().at(0).path, "/v1/chat/completions");
  EXPECT_EQ(server_->calls().at(0).headers.count("authorization"), 0u);
}

TEST_F(OpenAiClientTest, WhatMaySucceedLaterIsAskedAgain) {
  script({reply(503, "starting"),
          reply(429, "", "Retry-After: 1\r\n"),
          {.then = HttpReply::Then::kReset},
          {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"model\"",
           .then = HttpReply::Then::kClose},
          reply(200, kAnswer)});
  EXPECT_EQ(completion(), "hello");
  EXPECT_EQ(server_->calls().size(), 5u);
  // A kept connection that the server closed is opened anew by libcurl and counts as no retry.
  EXPECT_EQ(retries_, 3);
  EXPECT_EQ(log_.lines.size(), 3u);
}

TEST_F(OpenAiClientTest, WhatStaysWrongIsToldInOneLine) {
  script({reply(401, R"({"error":{"message":"Incorrect API key provided: )" + kKey + "\"}}")});
  EXPECT_NE(refusal<TeacherError>().find(
                "answered 401, `Incorrect API key provided: [key]`; is it the right key"),
            std::string::npos);
  script({reply(404, "<html>\nnot found</html>")});
  EXPECT_NE(refusal<TeacherError>().find("`<html>\\x0anot found</html>`; the address of a server "
                                         "usually ends with /v1"),
            std::string::npos);
  script({reply(307, "", "Location: http://elsewhere/v1\r\n")});
  EXPECT_NE(refusal<TeacherError>().find("points to `http://elsewhere/v1`"), std::string::npos);
  script({reply(500, "broken")});
  EXPECT_NE(refusal<TeacherError>().find("answered 500, `broken`"), std::string::npos);
  script({reply(200, "<html>proxy</html>")});
  EXPECT_NE(refusal<TeacherError>().find("the answer begins `<html>proxy</html>`"),
            std::string::npos);
  script({reply(200, "{\"you sent\": \"" + kKey + "\"}")});
  EXPECT_NE(refusal<TeacherError>().find("begins `{\"you sent\": \"[key]\"}`"), std::string::npos);
  script({reply(200, std::string(200, 'x'))});
  EXPECT_LT(refusal<TeacherError>().size(), 300u);
}

TEST_F(OpenAiClientTest, AnEndlessBodyEnds) {
  script({{.bytes = "HTTP/1.1 200 OK\r\n\r\n", .repeated = std::string(1 << 16, ' ')}});
  EXPECT_NE(refusal<io::HttpError>().find("larger than 64.0 MiB"), std::string::npos);
}

TEST_F(OpenAiClientTest, APromptThatIsTooLongIsToldApart) {
  for (const char* message :
       {"This model's maximum context length is 1024 tokens. However, you requested 2000 tokens",
        "The decoder prompt (length 3000) is longer than the maximum model length of 1024.",
        "The input (3000 tokens) is longer than the model's context length (1024 tokens).",
        "the request exceeds the available context size"}) {
    script({reply(400, std::string(R"({"error":{"message":")") + message + "\"}}")});
    EXPECT_THROW(completion(), PromptTooLong) << message;
  }
  script({reply(400, R"({"error":{"message":"temperature must be at most 2"}})")});
  try {
    completion();
    ADD_FAILURE();
  } catch (const PromptTooLong& error) {
    ADD_FAILURE() << error.what();
  } catch (const TeacherError& error) {
    EXPECT_NE(std::string(error.what()).find("temperature must be"), std::string::npos);
  }
}

TEST_F(OpenAiClientTest, SaysWhatIsServed) {
  script({reply(200, R"({"data":[{"id":"m"}]})"),
          reply(200, R"({"data":[{"id":"mm"},{"id":"n"}]})"), reply(200, R"({"data":[]})")});
  auto asking = client();
  EXPECT_NO_THROW(asking.require_model());
  EXPECT_EQ(server_->calls().at(0).method, "GET");
  EXPECT_EQ(server_->calls().at(0).path, "/v1/models");
  EXPECT_EQ(message_of<InputError>([&] { asking.require_model(); }),
            server_->url("/v1: serves no `m`; it serves `mm`, `n`"));
  EXPECT_NE(message_of<InputError>([&] { asking.require_model(); }).find("it serves nothing"),
            std::string::npos);
}

/// What a message may hold of a key that a server repeats.
void expect_hidden(const std::string& message) {
  EXPECT_EQ(message.find("very"), std::string::npos) << message;
  EXPECT_EQ(message.find("076ery"), std::string::npos) << message;
  EXPECT_NE(message.find("[key]"), std::string::npos) << message;
}

TEST_F(OpenAiClientTest, AKeyThatIsRepeatedIsHiddenHoweverItIsSpelt) {
  key_ = "sk/very+secret/\\0123";
  const std::string slashes = R"(sk\/very+secret\/\\0123)";
  const std::string numbers = R"(\u0073k/\u0076ery\u002Bsecret/\u005c0123)";
  for (const std::string& spelt : {slashes, numbers}) {
    const std::string padded = std::string(40, ' ') + spelt;  // a cut must leave no half of it
    for (const std::string& name : {spelt, padded}) {
      script({reply(200, R"({"data":[{"id":")" + name + "\"}]}")});
      expect_hidden(message_of<InputError>([&] { client().require_model(); }));
      script({reply(200, R"({"model":")" + name + R"(","choices":[]})")});
      expect_hidden(message_of<BadAnswer>([&] { completion(); }));
      script({reply(400, R"({"error":{"message":")" + name + "\"}}")});
      expect_hidden(message_of<TeacherError>([&] { completion(); }));
      script({reply(400, "{\"oops\": \"" + name + "\"}")});
      expect_hidden(message_of<TeacherError>([&] { completion(); }));
    }
  }
}

TEST_F(OpenAiClientTest, AnAnswerThatRepeatsTheKeyIsReadWithoutIt) {
  script({reply(200, R"({"model":"m","choices":[{"index":0,"text":"you are )" + kKey +
                         R"(","finish_reason":"stop"}]})")});
  EXPECT_EQ(completion(), "you are [key]");
  key_ = "you";  // too short to tell it from any word
  EXPECT_EQ(completion(), "you are " + kKey);
}

TEST_F(OpenAiClientTest, AnAnswerMayBeAsLargeAsWhatWasAskedFor) {
  constexpr std::int64_t kTokens = 4096, kIds = 64;
  std::string position = "{";
  for (std::int64_t id = 0; id < kIds; ++id) {
    position += (id > 0 ? ",\"" : "\"") + std::to_string(id) + R"(":{"logprob":-5})";
  }
  std::string body = R"({"model":"m","choices":[{"index":0,"text":"x","finish_reason":"length",)"
                     R"("prompt_logprobs":[null)";
  for (std::int64_t t = 1; t < kTokens; ++t) body += "," + position + "}";
  body += std::string((std::size_t{65} << 20) - body.size(), ' ') + "]}]}";
  script({reply(200, body)});
  const ScoreRequest request{.ids = std::vector<std::int64_t>(kTokens, 3), .top_k = kIds};
  EXPECT_EQ(client().score(ServerApi::kVllm, request).log_probs.back().size(), 64u);
  const ScoreRequest small{.ids = std::vector<std::int64_t>(100, 3), .top_k = kIds};
  EXPECT_NE(message_of<io::HttpError>([&] {
              client().score(ServerApi::kVllm, small);
            }).find("larger than 64.0 MiB"),
            std::string::npos);
  const ScoreRequest huge{.ids = std::vector<std::int64_t>(kTokens, 3), .top_k = 1024};
  EXPECT_NE(message_of<InputError>([&] {
              client().score(ServerApi::kSglang, huge);
            }).find("4096 tokens with 1024 ids each"),
            std::string::npos);
}

TEST_F(OpenAiClientTest, RefusesKeysAndNamesThatCannotBeSent) {
  script({reply(200, kAnswer)});
  for (const char* key : {"sk-secret\n", "sk secret", "sk-secret\xc3\xa4", "\x01sk-secret"}) {
    key_ = key;
    const auto message = message_of<InputError>([&] { client(); });
    EXPECT_EQ(message.find("secret"), std::string::npos) << message;
  }
  EXPECT_THROW(OpenAiClient({.url = "host", .model = "m"}, {log_, clock_, retries_}), InputError);
  EXPECT_THROW(OpenAiClient({.url = "http://h", .model = ""}, {log_, clock_, retries_}),
               InputError);
}

TEST_F(OpenAiClientTest, TimeIsBounded) {
  timeout_ = 0.05;
  script({{.delay = std::chrono::seconds(30)}});
  const auto message = refusal<io::HttpError>();
  EXPECT_NE(message.find("no whole answer in time"), std::string::npos) << message;
  EXPECT_NE(message.find("; tried 9 times"), std::string::npos) << message;
}

}  // namespace
}  // namespace distill::teachers
