// distill_train with a teacher that a server holds: what a run comes to must not depend on what the
// server does meanwhile, and a run without a teacher it can trust must end.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <mutex>
#include <set>

#include <distill/core/files.h>
#include <distill/models/load.h>
#include <distill/text/tokenizer.h>

#include "integration/tiny_run.h"
#include "support/http_server.h"
#include "support/score_server.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kKey = "sk-0123-secret";

class ServerTeacherRun : public ::testing::Test {
 protected:
  ServerTeacherRun() {
    scores_.spell = [this](std::int64_t id) { return tokenizer_->decode({id}, false); };
    scores_.tokenize = [this](const std::string& text) { return tokenizer_->encode(text, false); };
    scores_.max_tokens = 256;
  }
  /// Runs the recipe in a folder of that name.
  ProgramResult train(const std::string& name, const std::vector<std::string>& more = {},
                      ProgramOptions options = {}) {
    const fs::path recipe = folder_ / "recipe.yaml";
    std::ofstream(recipe) << "name: served\nseed: 3\ndevice: cpu\n"
                          << "student: {model: " << tiny_model().string()
                          << ", init: {from: model, keep_layers: 2}}\n"
                          << "teacher: {kind: server, url: \"" << server_.url("/v1")
                          << "\", model: m, top_k: 16, api_key_env: TEST_KEY, parallel: 3}\n"
                          << "data:\n  train: [{path: " << (tiny_model() / "train.jsonl").string()
                          << "}]\n  sequence_length: 48\n"
                          << "loss: [{kind: forward_kl, temperature: 1.0}]\n"
                          << "train: {steps: 8, batch_size: 4, micro_batch_size: 2}\n"
                          << "checkpoint: {every: 1, keep: 2}\n";
    options.environment.emplace("TEST_KEY", kKey);
    options.environment.emplace("XDG_CACHE_HOME", (folder_ / "cache").string());
    std::vector<std::string> arguments = {DISTILL_TRAIN_BINARY, recipe.string(),
                                          "output=" + output(name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, options);
  }
  fs::path output(const std::string& name) const { return folder_ / name; }
  std::string weights(const std::string& name) const {
    return core::hash_file(output(name) / "final/model.safetensors");
  }
  std::string straight() {
    if (!fs::exists(output("straight"))) {
      const auto result = train("straight");
      EXPECT_EQ(result.exit_code, 0) << result.err;
    }
    return weights("straight");
  }
  /// From now on each call for scores is answered so; `asked_` counts them.
  void behave(HttpServer::Handler handler) {
    const std::lock_guard lock(mutex_);
    handler_ = std::move(handler);
    asked_ = 0;
  }
  void behave_well() {
    behave([this](const HttpCall& call) { return scores_(call); });
  }

  TempFolder folder_;
  std::shared_ptr<const text::Tokenizer> tokenizer_ = text::load_tokenizer(tiny_model());
  ScoreServer scores_{models::load_causal_lm(tiny_model(), {})};
  std::mutex mutex_;
  std::atomic<int> asked_{0};
  HttpServer::Handler handler_ = [this](const HttpCall& call) { return scores_(call); };
  HttpServer server_{[this](const HttpCall& call) {
    if (call.path != "/v1/completions" && call.path != "/generate") return scores_(call);
    HttpServer::Handler handler;
    {
      const std::lock_guard lock(mutex_);
      handler = handler_;
      ++asked_;
    }
    return handler(call);
  }};
};

TEST_F(ServerTeacherRun, TrainsNearlyAsALocalTeacherDoes) {
  straight();
  const auto loss = [&](const std::string& name) {
    std::ifstream in(output(name) / "metrics.jsonl");
    std::string line;
    std::getline(in, line);
    const auto value = io::parse_json(line, "metrics");
    return io::JsonCursor(value, "metrics").at("loss").as_double();
  };
  const auto all = train("all", {"teacher.top_k=" + std::to_string(tokenizer_->vocab_size())});
  ASSERT_EQ(all.exit_code, 0) << all.err;
  const auto local =
      train("local", {"teacher={kind: local, model: " + tiny_model().string() + "}"});
  ASSERT_EQ(local.exit_code, 0) << local.err;
  EXPECT_NEAR(loss("all"), loss("local"), 1e-4 * loss("local"));
  EXPECT_LT(loss("straight"), loss("local")) << "fewer classes tell less apart";
  EXPECT_GT(loss("straight"), 0.3 * loss("local"));
  const auto sglang = train("sglang", {"teacher.api=sglang"});
  ASSERT_EQ(sglang.exit_code, 0) << sglang.err;
  EXPECT_EQ(weights("sglang"), straight());
}

TEST_F(ServerTeacherRun, AServerThatFailsNowAndThenChangesNoBit) {
  straight();
  behave([this](const HttpCall& call) {
    switch (call.number % 7) {
      case 2:
        return reply(503, "loading");
      case 4:
        return HttpReply{.then = HttpReply::Then::kReset};
      case 6:
        return reply(200, "<html>proxy</html>");
      default:
        return scores_(call);
    }
  });
  const auto result = train("shaky");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(weights("shaky"), straight());
  EXPECT_EQ(result.err.find(" 0 retries"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("answers, "), std::string::npos) << "shown: " << result.err;
  const std::string metrics = core::read_file(output("shaky") / "metrics.jsonl", 1 << 20);
  EXPECT_NE(metrics.find("{\"event\":\"teacher\",\"step\":8,\"requests\":"), std::string::npos);
  EXPECT_NE(metrics.find("\"teacher_seconds\":"), std::string::npos);
}

TEST_F(ServerTeacherRun, AServerThatGoesAwayOrLiesEndsTheRunWhichGoesOnLater) {
  straight();
  const HttpReply faults[] = {{.then = HttpReply::Then::kClose},
                              reply(200, "<html>proxy</html>"),
                              reply(400, R"({"error":{"message":"no"}})")};
  int number = 0;
  for (const auto& fault : faults) {
    const std::string name = "fault_" + std::to_string(number++);
    // Enough good answers for some steps.
    behave([this, fault](const HttpCall& call) { return asked_ > 13 ? fault : scores_(call); });
    const auto ended = train(name, {"teacher.retries=1"});
    EXPECT_EQ(ended.exit_code, 1) << ended.err;
    EXPECT_EQ(error_lines(ended).size(), 1u) << ended.err;
    EXPECT_NE(ended.err.find("the newest checkpoint in"), std::string::npos) << ended.err;
    EXPECT_FALSE(fs::is_empty(output(name) / "checkpoints")) << name << ended.err;
    behave_well();
    const auto resumed = train(name);
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(weights(name), straight()) << name;
  }
}

TEST_F(ServerTeacherRun, AnotherModelEndsTheRun) {
  auto other = models::load_causal_lm(tiny_model(), {.keep_layers = {0, 1}});
  behave([this, other](const HttpCall& call) {
    if (asked_ == 20) scores_.use(other);
    auto answer = scores_(call);
    answer.delay = 20ms;
    return answer;
  });
  // Long enough that a look comes due after the change, however quick the machine.
  const auto ended = train("changed", {"teacher.check_seconds=0.1", "train.steps=100"});
  EXPECT_EQ(ended.exit_code, 1) << ended.err;
  EXPECT_NE(ended.err.find("the model has changed"), std::string::npos) << ended.err;
  EXPECT_EQ(error_lines(ended).size(), 1u) << ended.err;
}

TEST_F(ServerTeacherRun, GoesOnOnlyWithTheModelThatItBeganWith) {
  straight();
  behave([this](const HttpCall& call) {
    return asked_ > 13 ? reply(400, R"({"error":{"message":"no"}})") : scores_(call);
  });
  EXPECT_EQ(train("other").exit_code, 1);
  ASSERT_FALSE(fs::is_empty(output("other") / "checkpoints"));
  behave_well();
  const std::string metrics = core::read_file(output("other") / "metrics.jsonl", 1 << 20);
  scores_.use(models::load_causal_lm(tiny_model(), {.keep_layers = {0, 1}}));
  const auto refused = train("other");
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_EQ(error_lines(refused).size(), 1u) << refused.err;
  EXPECT_NE(refused.err.find("another teacher than when the run began"), std::string::npos);
  EXPECT_NE(refused.err.find("--restart"), std::string::npos) << refused.err;
  EXPECT_EQ(core::read_file(output("other") / "metrics.jsonl", 1 << 20), metrics) << "no step";
  scores_.use(models::load_causal_lm(tiny_model(), {}));
  scores_.fingerprint = "second";
  const auto renamed = train("other");
  EXPECT_EQ(renamed.exit_code, 2) << renamed.err;
  EXPECT_NE(renamed.err.find("was `` and is `second` now"), std::string::npos) << renamed.err;
  scores_.fingerprint = "";
  std::ofstream(output("other") / "teacher.json", std::ios::app) << "{";
  const auto damaged = train("other");
  EXPECT_EQ(damaged.exit_code, 2) << damaged.err;
  EXPECT_NE(damaged.err.find("teacher.json: damaged"), std::string::npos) << damaged.err;
  fs::remove(output("other") / "teacher.json");
  const auto resumed = train("other");
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("teacher.json: not there"), std::string::npos) << resumed.err;
  EXPECT_EQ(weights("other"), straight());
}

TEST_F(ServerTeacherRun, HowTheServerIsAskedMayChangeWhenARunGoesOn) {
  straight();
  behave([this](const HttpCall& call) {
    return asked_ > 13 ? reply(400, R"({"error":{"message":"no"}})") : scores_(call);
  });
  EXPECT_EQ(train("moved").exit_code, 1);
  behave_well();
  HttpServer elsewhere([this](const HttpCall& call) { return scores_(call); });
  const std::vector<std::string> changed = {"teacher.url=" + elsewhere.url("/v1"),
                                            "teacher.parallel=2", "teacher.retries=3",
                                            "teacher.timeout_seconds=77", "teacher.max_drift=0.1"};
  auto with_steps = changed;
  with_steps.push_back("train.steps=9");
  const auto refused = train("moved", with_steps);
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_NE(refused.err.find("train.steps: 8 -> 9"), std::string::npos) << refused.err;
  EXPECT_EQ(refused.err.find("teacher.retries"), std::string::npos) << refused.err;
  const auto resumed = train("moved", changed);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("going on with teacher.parallel: 3 -> 2"), std::string::npos)
      << resumed.err;
  EXPECT_EQ(weights("moved"), straight());
  const std::string recipe = core::read_file(output("moved") / "recipe.yaml", 1 << 20);
  EXPECT_NE(recipe.find("parallel: 2"), std::string::npos) << "what it was done with at last";
}

TEST_F(ServerTeacherRun, NothingIsAskedThatNoStepUses) {
  const fs::path rows = folder_ / "rows.jsonl";  // no two are the same
  {
    std::ofstream out(rows);
    for (int i = 0; i < 40; ++i) out << "{\"text\": \"" << i << " sacks of flour\"}\n";
  }
  const auto short_run =
      train("short",
            {"train.steps=2", "data.train=[{path: " + rows.string() + "}]", "data.packing=false"});
  ASSERT_EQ(short_run.exit_code, 0) << short_run.err;
  // The probe comes first; what else was asked is the text of both steps, each piece once.
  std::set<std::string> texts;
  std::string probe;
  for (const auto& call : server_.calls()) {
    if (call.path != "/v1/completions") continue;
    const auto value = io::parse_json(call.body, "body");
    const io::JsonCursor ids = io::JsonCursor(value, "body").at("prompt");
    std::string text;
    for (std::size_t i = 0; i < ids.size(); ++i) text += std::to_string(ids.at(i).as_int()) + ' ';
    if (probe.empty()) probe = text;
    if (text != probe) texts.insert(text);
  }
  std::int64_t asked = 0;
  for (const auto& text : texts) asked += std::ranges::count(text, ' ');
  std::ifstream metrics(output("short") / "metrics.jsonl");
  std::int64_t tokens = 0;
  for (std::string line; std::getline(metrics, line);) {
    const auto value = io::parse_json(line, "metrics");
    const io::JsonCursor row(value, "metrics");
    if (!row.has("event")) tokens = row.at("tokens").as_int();
  }
  EXPECT_GT(tokens, 0);
  EXPECT_EQ(asked, tokens);
}

TEST_F(ServerTeacherRun, StoppedWhileItWaitsItSavesAndGoesOnToTheSameBits) {
  straight();
  for (const int signal : {SIGTERM, SIGINT, SIGKILL}) {
    // How often it asks hangs on its pace: 18 times at least.
    for (const int answers : {0, 1, 12, 15}) {
      const std::string name = "stop_" + std::to_string(signal) + "_" + std::to_string(answers);
      behave([this, answers](const HttpCall& call) {
        auto answer = scores_(call);
        if (asked_ > answers) answer.delay = 60s;
        return answer;
      });
      bool sent = false;
      const auto start = std::chrono::steady_clock::now();
      auto asked_at = start;
      const auto stopped = train(name, {}, {.signal = [&](std::chrono::milliseconds) {
                                   if (asked_ <= answers || std::exchange(sent, true)) return 0;
                                   asked_at = std::chrono::steady_clock::now();
                                   return signal;
                                 }});
      EXPECT_LT(std::chrono::steady_clock::now() - asked_at, 12s);
      if (signal == SIGKILL) {
        EXPECT_EQ(stopped.signal, SIGKILL);
      } else {
        EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
        EXPECT_EQ(error_lines(stopped).size(), 1u) << stopped.err;
        EXPECT_NE(stopped.err.find("topped"), std::string::npos) << stopped.err;
        EXPECT_NE(stopped.err.find("run the same command again to go on"), std::string::npos)
            << name << stopped.err;
      }
      behave_well();
      const auto resumed = train(name);
      ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
      EXPECT_EQ(weights(name), straight()) << name;
    }
  }
}

TEST_F(ServerTeacherRun, EvaluatesAgainstItAndCanBeStoppedThere) {
  const std::vector<std::string> with_eval = {
      "data.eval=[{path: " + (tiny_model() / "eval.jsonl").string() + "}]"};
  const auto straight = train("evaluated", with_eval);
  ASSERT_EQ(straight.exit_code, 0) << straight.err;
  const auto value = io::read_json_file(output("evaluated") / "report.json");
  const io::JsonCursor report(value, "report.json");
  EXPECT_LT(report.at("after").at("top_k_kl_to_teacher").as_double(),
            report.at("before").at("top_k_kl_to_teacher").as_double());
  behave([this](const HttpCall& call) {
    auto answer = scores_(call);
    if (asked_ > 2) answer.delay = 60s;
    return answer;
  });
  bool sent = false;
  const auto stopped = train("stopped", with_eval, {.signal = [&](std::chrono::milliseconds) {
                               return asked_ <= 2 || std::exchange(sent, true) ? 0 : SIGTERM;
                             }});
  EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped by signal 15"), std::string::npos) << stopped.err;
  behave_well();
  ASSERT_EQ(train("stopped", with_eval).exit_code, 0);
  EXPECT_EQ(weights("stopped"), weights("evaluated"));
}

TEST_F(ServerTeacherRun, TheKeyIsInNoByteThatIsWritten) {
  behave([this](const HttpCall& call) {
    EXPECT_EQ(call.headers.at("authorization"), std::string("Bearer ") + kKey);
    return asked_ == 9 ? reply(500, std::string("bad key ") + kKey) : scores_(call);
  });
  const auto result = train("secret", {}, {});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  behave([](const HttpCall&) { return reply(401, std::string("wrong key ") + kKey); });
  const auto refused = train("refused");
  EXPECT_EQ(refused.exit_code, 1) << refused.err;
  std::vector<std::string> texts = {result.out, result.err, refused.out, refused.err};
  for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
    if (entry.is_regular_file()) texts.push_back(core::read_file(entry.path(), 64 << 20));
  }
  EXPECT_GT(texts.size(), 15u);
  for (const auto& text : texts) EXPECT_EQ(text.find("0123-secret"), std::string::npos);
}

TEST_F(ServerTeacherRun, WhatCannotWorkIsRefusedInOneLine) {
  const auto refusal = [&](const std::vector<std::string>& more, const ProgramOptions& how = {}) {
    const auto result = train("never", more, how);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(error_lines(result).size(), 1u) << result.err;
    for (const auto& line : error_lines(result)) EXPECT_LT(line.size(), 300u) << line;
    EXPECT_EQ(result.err.find("sk-"), std::string::npos) << result.err;
    return result.err;
  };
  EXPECT_NE(refusal({"teacher.model=x"}).find("it serves `m`"), std::string::npos);
  EXPECT_NE(refusal({"teacher.url=ftp://a"}).find("expected http://"), std::string::npos);
  EXPECT_NE(refusal({"teacher.api_key_env=sk-0123"}).find("not the key"), std::string::npos);
  EXPECT_NE(refusal({"teacher.top_k=0"}).find("must be from 1 to"), std::string::npos);
  EXPECT_NE(refusal({"teacher.parallel=0"}).find("must be from 1 to 1024"), std::string::npos);
  EXPECT_NE(refusal({}, {.environment = {{"TEST_KEY", ""}}}).find("is not set"), std::string::npos);
  EXPECT_NE(refusal({"loss=[{kind: hidden_mse}]"}).find("teacher"), std::string::npos);
  scores_.max_tokens = 48;
  EXPECT_NE(refusal({}).find("use at most 47"), std::string::npos);
  scores_.max_tokens = 0;
  scores_.tokenize = {};
  scores_.spell = [](std::int64_t id) { return "word" + std::to_string(id); };
  EXPECT_NE(refusal({}).find("ids mean something else"), std::string::npos);
  EXPECT_EQ(train("never", {"teacher.tokenizer=" + tiny_model().string()}).exit_code, 0);
}

}  // namespace
}  // namespace distill::testing
