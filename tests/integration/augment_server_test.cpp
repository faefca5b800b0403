// `distill augment` asks a server that fails in every way, is killed and runs out of disk; the same
// command must carry on and end with the same bytes.
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>

#include <distill/core/files.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>

#include "integration/distill_command.h"
#include "support/http_server.h"
#include "support/jsonl_file.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int kRows = 10;

/// What a model would say: depends on prompt and seed alone.
HttpReply say(const HttpCall& call) {
  if (call.method == "GET") return reply(200, R"({"object":"list","data":[{"id":"echo"}]})");
  const auto value = io::parse_json(call.body, "body");
  const io::JsonCursor body(value, "body");
  const std::string prompt = body.at("messages").at(std::size_t{0}).at("content").as_string();
  core::JsonWriter json;
  json.begin_object().member("model", "echo").key("choices").begin_array().begin_object();
  json.member("index", 0).member("finish_reason", "stop").key("message").begin_object();
  json.member("content", core::concat(prompt.substr(prompt.find(':') + 1), " ",
                                      body.at("seed").as_int() % 100));
  json.end_object().end_object().end_array().end_object();
  return reply(200, json.text());
}

class AugmentServer : public ::testing::Test {
 protected:
  AugmentServer() {
    std::vector<std::string> lines;
    for (int i = 0; i < kRows; ++i) {
      lines.push_back(R"({"text": "this is the text number )" + std::to_string(i) + R"("})");
    }
    write_lines(data_, lines);
  }
  /// The command that writes `out`, with more arguments.
  ProgramResult augment(const fs::path& out, const ProgramOptions& options = {},
                        const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {DISTILL_BINARY,
                                          "augment",
                                          "--url",
                                          server_.url("/v1"),
                                          "--model",
                                          "echo",
                                          "--data",
                                          data_.string(),
                                          "--out",
                                          out.string(),
                                          "--seed",
                                          "5",
                                          "--prompt",
                                          "{from}:{text}",
                                          "--copies",
                                          "2",
                                          "--json",
                                          "--retries",
                                          "2",
                                          "--rows-at-once",
                                          "3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, options);
  }
  std::string straight() {
    const fs::path out = folder_ / "straight.jsonl";
    if (!fs::exists(out)) {
      const auto result = augment(out);
      EXPECT_EQ(result.exit_code, 0) << result.err;
    }
    return core::hash_file(out);
  }
  std::map<std::string, std::string> shim(const fs::path& out, long at, int code = 0) const {
    return {{"LD_PRELOAD", FAULT_SHIM},
            {"FAULT_AT", std::to_string(at)},
            {"FAULT_ERRNO", std::to_string(code)},
            {"FAULT_UNDER", out.parent_path().string()}};
  }
  long count_calls(int code = 0) {
    const fs::path out = new_out();
    auto environment = shim(out, 0, code);
    environment["FAULT_COUNT"] = (folder_ / "count").string();
    EXPECT_EQ(augment(out, {.environment = environment}).exit_code, 0);
    long calls = 0;
    std::ifstream(folder_ / "count") >> calls;
    return calls;
  }
  /// A file in a folder of its own.
  fs::path new_out() {
    const fs::path place = folder_ / ("out_" + std::to_string(num_outs_++));
    fs::create_directory(place);
    return place / "more.jsonl";
  }
  /// Goes on and compares; nothing but the file may be there in the end.
  void expect_goes_on(const fs::path& out, const std::string& when) {
    const auto resumed = augment(out);
    ASSERT_EQ(resumed.exit_code, 0) << when << ": " << resumed.err;
    EXPECT_EQ(core::hash_file(out), straight()) << when;
    for (const auto& entry : fs::directory_iterator(out.parent_path())) {
      EXPECT_EQ(entry.path(), out) << when;
    }
  }

  TempFolder folder_;
  fs::path data_ = folder_ / "in.jsonl";
  int num_outs_ = 0;
  /// From now on the server does this.
  void behave(HttpServer::Handler handler) {
    const std::lock_guard lock(mutex_);
    handler_ = std::move(handler);
    asked_ = 0;
  }

  std::mutex mutex_;
  HttpServer::Handler handler_ = say;
  int asked_ = 0;  ///< questions since `behave`; under the mutex
  HttpServer server_{[this](const HttpCall& call) {
    const std::lock_guard lock(mutex_);
    if (call.method == "POST") ++asked_;
    return handler_(call);
  }};
};

std::size_t num_errors(const ProgramResult& result) {
  std::size_t count = 0;
  for (std::size_t at = result.err.find("error: "); at != std::string::npos;
       at = result.err.find("error: ", at + 1)) {
    ++count;
  }
  return count;
}

TEST_F(AugmentServer, WritesWhatItSaysAndKeepsTheKeySecret) {
  const fs::path out = new_out();
  const auto result = augment(out, {.environment = {{"SOME_KEY", "sk-0123-secret"}}},
                              {"--api-key-env", "SOME_KEY", "--parallel", "3", "--verbose"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto value = io::parse_json(result.out, "out");
  EXPECT_EQ(io::JsonCursor(value, "out").at("rows").as_int(), kRows);
  EXPECT_EQ(io::JsonCursor(value, "out").at("written").as_int(), 2 * kRows);
  EXPECT_EQ(core::hash_file(out), straight()) << "whatever key and number of requests";
  for (const auto& call : server_.calls()) {
    const auto key = call.headers.find("authorization");
    if (key == call.headers.end()) continue;  // of the run without a key
    EXPECT_EQ(key->second, "Bearer sk-0123-secret");
  }
  const std::string text = core::read_file(out, 1 << 20);
  EXPECT_NE(text.find("this is the text number 3 "), std::string::npos);
  EXPECT_NE(text.find("\"model\":\"echo at " + server_.url("/v1") + "\""), std::string::npos);
  for (const auto& where : {result.out, result.err, text}) {
    EXPECT_EQ(where.find("secret"), std::string::npos);
  }
}

TEST_F(AugmentServer, KilledBeforeAnyWriteItGoesOnByteForByte) {
  const long calls = count_calls();
  ASSERT_GT(calls, 20);
  for (long at = 1; at <= calls; ++at) {
    const fs::path out = new_out();
    const auto killed = augment(out, {.environment = shim(out, at)});
    ASSERT_EQ(killed.signal, SIGKILL) << "call " << at << ": " << killed.err;
    expect_goes_on(out, core::concat("killed at call ", at));
  }
}

TEST_F(AugmentServer, FullDiskIsOneLineAndItGoesOnByteForByte) {
  const long calls = count_calls(ENOSPC);
  const int codes[] = {ENOSPC, EIO, EDQUOT};
  for (long at = 1; at <= calls; ++at) {
    const fs::path out = new_out();
    const auto failed = augment(out, {.environment = shim(out, at, codes[at % 3])});
    ASSERT_EQ(failed.exit_code, 1) << "call " << at << ": " << failed.err;
    EXPECT_EQ(num_errors(failed), 1u) << failed.err;
    expect_goes_on(out, core::concat("full at call ", at));
  }
}

TEST_F(AugmentServer, StoppedWhileItAsksItGoesOnByteForByte) {
  straight();
  for (const int signal : {SIGKILL, SIGINT, SIGTERM}) {
    for (const int answers : {0, 7, 30}) {
      behave([this, answers](const HttpCall& call) {
        auto answer = say(call);
        if (call.method == "POST" && asked_ > answers) answer.delay = 60s;
        return answer;
      });
      const fs::path out = new_out();
      bool sent = false;
      const auto stopped = augment(out, {.signal = [&](std::chrono::milliseconds) {
                                     const std::lock_guard lock(mutex_);
                                     if (asked_ <= answers || std::exchange(sent, true)) return 0;
                                     return signal;
                                   }});
      behave(say);
      if (signal == SIGKILL) {
        EXPECT_EQ(stopped.signal, SIGKILL);
      } else {
        EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
        EXPECT_NE(stopped.err.find(core::concat("error: stopped by signal ", signal)),
                  std::string::npos)
            << stopped.err;
      }
      EXPECT_FALSE(fs::exists(out));
      expect_goes_on(out, core::concat("signal ", signal, " after ", answers));
    }
  }
}

TEST_F(AugmentServer, EveryFaultIsRetriedOrToldInOneLineAndItGoesOn) {
  straight();
  const HttpReply faults[] = {
      {.then = HttpReply::Then::kClose},
      {.then = HttpReply::Then::kReset},
      {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"model\":\"echo\",",
       .then = HttpReply::Then::kReset},
      {.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n"},
      reply(408, ""),
      reply(409, ""),
      reply(429, "slow down", "Retry-After: 0\r\n"),
      reply(500, "<html>oops</html>"),
      reply(503, "starting"),
      reply(200, "<html>proxy</html>"),
      reply(200, "{\"model\":\"echo\",\"choices\":[]}"),
      reply(200, "\x1f\x8b\x08 packed", "Content-Encoding: gzip\r\n"),
      reply(302, "", "Location: http://127.0.0.1:1/\r\n"),
      reply(400, "{\"error\":{\"message\":\"no\"}}"),
      {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{"},
      {.bytes = "nonsense\r\n\r\n", .then = HttpReply::Then::kClose},
  };
  for (std::size_t i = 0; i < std::size(faults); ++i) {
    // Once after 20 good answers, or for ever.
    for (const bool for_ever : {false, true}) {
      behave([this, for_ever, fault = faults[i]](const HttpCall& call) {
        const bool now = call.method == "POST" && (asked_ == 21 || (for_ever && asked_ > 21));
        return now ? fault : say(call);
      });
      const fs::path out = new_out();
      const auto result = augment(out);
      behave(say);
      const std::string what = core::concat("fault ", i, for_ever ? " for ever" : " once");
      if (result.exit_code == 0) {
        EXPECT_FALSE(for_ever) << what;
        EXPECT_EQ(core::hash_file(out), straight()) << what;
        continue;
      }
      EXPECT_EQ(result.exit_code, 1) << what << result.err;
      EXPECT_EQ(num_errors(result), 1u) << result.err;
      EXPECT_NE(result.err.find("error: " + server_.url("/v1/chat/completions")), std::string::npos)
          << what << result.err;
      expect_goes_on(out, what);
    }
  }
}

TEST_F(AugmentServer, RefusesArgumentsThatMakeNoSense) {
  const auto refusal = [&](const std::vector<std::string>& more) {
    const auto result = augment(new_out(), {}, more);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(num_errors(result), 1u) << result.err;
    return result.err;
  };
  EXPECT_NE(refusal({"--batch-size", "4"}).find("--url excludes --batch-size"), std::string::npos);
  EXPECT_NE(refusal({"--dtype", "fp32"}).find("--url excludes --dtype"), std::string::npos);
  EXPECT_NE(refusal({"--chat-template", "chatml"}).find("expected auto or none"),
            std::string::npos);
  const auto no_key = refusal({"--api-key-env", "sk0123secret"});
  EXPECT_NE(no_key.find("that --api-key-env names is not set"), std::string::npos) << no_key;
  EXPECT_EQ(no_key.find("secret"), std::string::npos);
}

TEST_F(AugmentServer, OtherOptionsAreRefusedUntilItBeginsAnew) {
  const fs::path out = new_out();
  behave([this](const HttpCall& call) { return asked_ > 20 ? reply(401, "no") : say(call); });
  EXPECT_EQ(augment(out).exit_code, 1);
  behave(say);
  const auto other = augment(out, {}, {"--temperature", "0.1"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.err.find("`temperature` was 0.7 and is 0.1"), std::string::npos) << other.err;
  EXPECT_EQ(augment(out, {}, {"--temperature", "0.1", "--restart"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(out));
}

}  // namespace
}  // namespace distill::testing
