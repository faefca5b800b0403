#include <distill/generation/text_generator.h>

#include <functional>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include <distill/core/interrupted.h>
#include <distill/io/json_value.h>

#include "support/http_server.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::generation {
namespace {

using testing::HttpCall;
using testing::HttpReply;
using testing::HttpServer;
using testing::message_of;
using testing::reply;

/// A server whose answers are `say(prompt)`, in the form for the path.
class Served {
 public:
  using Say = std::function<HttpReply(const std::string& prompt)>;
  explicit Served(Say say)
      : server_([say](const HttpCall& call) {
          if (call.method == "GET") return reply(200, R"({"data":[{"id":"m"}]})");
          return say(prompt_of(call));
        }) {}

  static std::string prompt_of(const HttpCall& call) {
    const auto value = io::parse_json(call.body, "body");
    const io::JsonCursor body(value, "body");
    return body.has("prompt") ? body.at("prompt").as_string()
                              : body.at("messages").at(std::size_t{0}).at("content").as_string();
  }
  /// Seeds by prompt.
  std::map<std::string, std::int64_t> seeds() const {
    std::map<std::string, std::int64_t> seeds;
    for (const auto& call : server_.calls()) {
      if (call.method == "GET") continue;
      const auto value = io::parse_json(call.body, "body");
      seeds[prompt_of(call)] = io::JsonCursor(value, "body").at("seed").as_int();
    }
    return seeds;
  }
  ServerGeneratorOptions options() const {
    ServerGeneratorOptions options;
    options.server = {.url = server_.url("/v1"), .model = "m"};
    options.server.parallel = 3;
    options.server.retry = {.max_retries = 1, .first_wait = 0.01};
    return options;
  }
  const HttpServer& server() const { return server_; }

 private:
  HttpServer server_;
};

HttpReply chat(const std::string& text, const std::string& finish = "stop") {
  return reply(200, R"({"model":"m","choices":[{"index":0,"message":{"content":")" + text +
                        R"("},"finish_reason":")" + finish + "\"}]}");
}

TEST(ServerGenerator, AnswersInOrderWithoutBlanksAndSaysWhatWasCutOff) {
  const Served served([](const std::string& prompt) {
    if (prompt == "long") return reply(400, R"({"message":"maximum context length is 7"})");
    return chat(" " + prompt + "!\\n", prompt == "cut" ? "length" : "stop");
  });
  testing::RecordingLogger log;
  const auto generator = make_server_generator(served.options(), log, nullptr);
  const auto answers = generator->answer({"a", "cut", "long", "b"}, 7);
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[0]->text, "a!");
  EXPECT_FALSE(answers[0]->cut_off);
  EXPECT_EQ(answers[1]->text, "cut!");
  EXPECT_TRUE(answers[1]->cut_off);
  EXPECT_FALSE(answers[2].has_value());
  EXPECT_EQ(answers[3]->text, "b!");
  EXPECT_EQ(generator->name(), "m at " + served.server().url("/v1"));
  EXPECT_EQ(generator->asked_model(), "m");  // wherever it is
}

TEST(ServerGenerator, EachPromptHasASeedThatDependsOnItsPlaceAlone) {
  const Served served([](const std::string& prompt) { return chat(prompt); });
  testing::RecordingLogger log;
  auto options = served.options();
  make_server_generator(options, log, nullptr)->answer({"a", "b", "c", "d"}, 7);
  const auto seeds = served.seeds();
  std::set<std::int64_t> different;
  for (const auto& [prompt, seed] : seeds) different.insert(seed);
  EXPECT_EQ(different.size(), 4u);
  options.server.parallel = 1;
  make_server_generator(options, log, nullptr)->answer({"a", "b", "c", "d"}, 7);
  EXPECT_EQ(served.seeds(), seeds);
  make_server_generator(options, log, nullptr)->answer({"a", "b", "c", "d"}, 8);
  EXPECT_NE(served.seeds(), seeds);
}

TEST(ServerGenerator, WithoutATemplatePromptsAreContinued) {
  const Served served([](const std::string& prompt) {
    return reply(200, R"({"model":"m","choices":[{"index":0,"text":" )" + prompt +
                          R"( more ","finish_reason":"stop"}]})");
  });
  testing::RecordingLogger log;
  auto options = served.options();
  options.chat_template = "none";
  const auto generator = make_server_generator(options, log, nullptr);
  const auto answer = generator->answer({"a"}, 7)[0];
  EXPECT_EQ(answer->text, "a more");
  EXPECT_EQ(answer->as_written, " a more ");
  EXPECT_TRUE(generator->continues());
  EXPECT_EQ(served.server().calls().back().path, "/v1/completions");
  options.chat_template = "chatml";
  EXPECT_NE(message_of<InputError>([&] {
              make_server_generator(options, log, nullptr);
            }).find("expected auto or none"),
            std::string::npos);
}

TEST(ServerGenerator, AConversationIsSentWholeAndItsAnswerIsWeighed) {
  std::string sent;
  HttpServer server([&](const HttpCall& call) {
    if (call.method == "GET") return reply(200, R"({"data":[{"id":"m"}]})");
    sent = call.body;
    return reply(200,
                 R"({"model":"m","choices":[{"index":0,"message":{"content":"yes"},)"
                 R"("finish_reason":"stop","logprobs":{"content":[{"token":"y","logprob":-0.5},)"
                 R"({"token":"es","logprob":-1.5}]}}],"usage":{"completion_tokens":2}})");
  });
  testing::RecordingLogger log;
  ServerGeneratorOptions options;
  options.server = {.url = server.url("/v1"), .model = "m"};
  options.log_probs = true;
  const auto generator = make_server_generator(options, log, nullptr);
  const Conversation chat = {{"system", "s"}, {"user", "a"}, {"assistant", "b"}, {"user", "c"}};
  const auto answer = generator->converse({chat}, 1).at(0);
  EXPECT_EQ(answer->num_tokens, 2);
  EXPECT_EQ(answer->mean_log_prob, -1.0);
  EXPECT_NE(sent.find(R"("messages":[{"role":"system","content":"s"},{"role":"user",)"),
            std::string::npos);
  EXPECT_NE(sent.find(R"("logprobs":true)"), std::string::npos);
  options.chat_template = "none";
  EXPECT_NE(message_of<InputError>([&] {
              make_server_generator(options, log, nullptr)->converse({chat}, 1);
            }).find("a conversation of 4 turns needs a chat template"),
            std::string::npos);
}

TEST(ServerGenerator, CanBeStopped) {
  core::StopFlag stop;
  const Served served([&](const std::string&) {
    stop.request(2);
    return HttpReply{.delay = std::chrono::seconds(60)};
  });
  testing::RecordingLogger log;
  const auto generator = make_server_generator(served.options(), log, &stop);
  EXPECT_TRUE(message_of<Interrupted>([&] {
                generator->answer({"a", "b"}, 7);
              }).starts_with("stopped by signal 2 while asking m at http://"));
}

TEST(ServerGenerator, CanBeStoppedWhileItIsFirstAsked) {
  core::StopFlag stop;
  HttpServer server([&](const HttpCall&) {
    stop.request(2);
    return HttpReply{.delay = std::chrono::seconds(60)};
  });
  testing::RecordingLogger log;
  ServerGeneratorOptions options;
  options.server = {.url = server.url("/v1"), .model = "m"};
  EXPECT_NE(message_of<Interrupted>([&] {
              make_server_generator(options, log, &stop);
            }).find("stopped by signal 2"),
            std::string::npos);
}

TEST(ServerGenerator, SaysWhatTheServerEndedForAReasonOfItsOwn) {
  const Served served([](const std::string& prompt) { return chat("x", prompt); });
  testing::RecordingLogger log;
  const auto generator = make_server_generator(served.options(), log, nullptr);
  const auto answers = generator->answer({"stop", "length", "content_filter"}, 7);
  EXPECT_FALSE(answers[0]->cut_off);
  EXPECT_TRUE(answers[1]->cut_off && !answers[1]->ended_otherwise);
  EXPECT_TRUE(answers[2]->cut_off && answers[2]->ended_otherwise);
}

TEST(ServerGenerator, AServerThatFailsIsAnError) {
  const Served served([](const std::string&) { return reply(503, "busy"); });
  testing::RecordingLogger log;
  const auto generator = make_server_generator(served.options(), log, nullptr);
  EXPECT_NE(
      message_of<TeacherError>([&] { generator->answer({"a"}, 7); }).find("answered 503, `busy`"),
      std::string::npos);
}

}  // namespace
}  // namespace distill::generation
