// `distill teacher` and distill_train, each a process of its own.
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <future>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <distill/core/files.h>
#include <distill/dist/channel.h>

#include "integration/distill_command.h"
#include "support/scratch_name.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A port of this machine that nobody has.
std::string free_address() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in own {};
  own.sin_family = AF_INET;
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(own);
  ::bind(socket, reinterpret_cast<struct sockaddr*>(&own), size);
  ::getsockname(socket, reinterpret_cast<struct sockaddr*>(&own), &size);
  ::close(socket);
  return "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
}

/// Lines of metrics.jsonl without what depends on the clock.
std::string losses_in(const fs::path& run) {
  std::ifstream in(run / "metrics.jsonl");
  std::string all;
  for (std::string line; std::getline(in, line);) {
    const auto value = io::parse_json(line, "metrics");
    const io::JsonCursor row(value, "metrics");
    if (row.has("event")) continue;
    for (const char* key : {"step", "loss", "forward_kl", "grad_norm", "lr", "tokens"}) {
      if (!row.has(key)) continue;
      all += std::string(key) + "=" + std::to_string(row.at(key).as_double()) + " ";
    }
    all += "\n";
  }
  return all;
}

class ProcessTeacherRun : public ::testing::Test {
 protected:
  using Signals = std::function<int(std::chrono::milliseconds)>;

  ProgramResult train(const std::string& name, const std::string& teacher,
                      const std::vector<std::string>& more = {}, const Signals& signal = {}) {
    const fs::path recipe = folder_ / (name + ".yaml");
    std::ofstream(recipe) << "name: handed\nseed: 3\ndevice: cpu\n"
                          << "student: {model: " << tiny_model().string()
                          << ", init: {from: model, keep_layers: 2}}\n"
                          << "teacher: " << teacher << "\n"
                          << "data:\n  train: [{path: " << (tiny_model() / "train.jsonl").string()
                          << "}]\n  eval: [{path: " << (tiny_model() / "eval.jsonl").string()
                          << "}]\n  sequence_length: 48\n"
                          << "loss: [{kind: forward_kl, temperature: 2.0}]\n"
                          << "train: {steps: 8, batch_size: 4, micro_batch_size: 2}\n"
                          << "checkpoint: {every: 1, keep: 2}\n";
    std::vector<std::string> arguments = {DISTILL_TRAIN_BINARY, recipe.string(),
                                          "output=" + output(name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(
        arguments,
        {.environment = {{"XDG_CACHE_HOME", (folder_ / "cache").string()}}, .signal = signal});
  }
  /// A teacher in the background.
  std::future<ProgramResult> serve(const std::vector<std::string>& more, const Signals& signal = {},
                                   const fs::path& model = tiny_model()) {
    std::vector<std::string> arguments = {DISTILL_BINARY, "teacher", "--model", model.string(),
                                          "--device",     "cpu",     "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::async(std::launch::async,
                      [arguments, signal] { return run_program(arguments, {.signal = signal}); });
  }
  fs::path output(const std::string& name) const { return folder_ / name; }
  std::string weights(const std::string& name) const {
    return core::hash_file(output(name) / "final/model.safetensors");
  }
  bool has_checkpoint(const std::string& name) const {
    const fs::path folder = output(name) / "checkpoints";
    return fs::exists(folder) && !fs::is_empty(folder);
  }
  static std::string local() { return "{kind: local, model: " + tiny_model().string() + "}"; }
  static std::string shared(const std::string& name) {
    return "{kind: process, timeout_seconds: 30, shared: " + name + "}";
  }

  TempFolder folder_;
};

TEST_F(ProcessTeacherRun, TrainsToTheBitsOfALocalTeacher) {
  for (const std::string precision : {"fp32", "bf16"}) {
    const std::vector<std::string> more = {"precision=" + precision};
    const auto local_name = "local_" + precision;
    const auto alone = train(local_name, local(), more);
    ASSERT_EQ(alone.exit_code, 0) << alone.err;
    const std::string place = scratch_name();
    auto teacher = serve({"--shared", place, "--dtype", precision});
    const auto name = "shared_" + precision;
    const auto result = train(name, shared(place), more);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(weights(name), weights(local_name));
    EXPECT_EQ(losses_in(output(name)), losses_in(output(local_name)));
    EXPECT_FALSE(losses_in(output(name)).empty());
    EXPECT_NE(result.err.find("times as much"), std::string::npos) << result.err;
    const std::string metrics = core::read_file(output(name) / "metrics.jsonl", 1 << 20);
    EXPECT_NE(metrics.find("\"logit_bytes\":"), std::string::npos);
    const auto served = teacher.get();
    ASSERT_EQ(served.exit_code, 0) << served.err;
    const auto value = io::parse_json(served.out, "teacher");
    const io::JsonCursor summary(value, "teacher");
    EXPECT_EQ(summary.at("students").as_int(), 1);
    const auto width = precision == "bf16" ? 2 : 4;
    EXPECT_GT(summary.at("positions").as_int(), 1000);
    EXPECT_EQ(summary.at("logit_bytes").as_int(), summary.at("positions").as_int() * 384 * width);
  }
  if (!dist::has_c10d()) GTEST_SKIP() << "built without gloo's headers";
  const std::string address = free_address();
  auto teacher = serve({"--listen", address, "--dtype", "fp32"});
  const auto result =
      train("c10d", "{kind: process, address: \"" + address + "\"}", {"precision=fp32"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(weights("c10d"), weights("local_fp32"));
  EXPECT_EQ(losses_in(output("c10d")), losses_in(output("local_fp32")));
  EXPECT_EQ(teacher.get().exit_code, 0);
}

TEST_F(ProcessTeacherRun, ATeacherThatIsKilledEndsTheRunWhichGoesOnToTheSameBits) {
  ASSERT_EQ(train("straight", local()).exit_code, 0);
  const std::string place = scratch_name();
  bool sent = false;
  auto teacher = serve({"--shared", place, "--dtype", "fp32"}, [&](auto) {
    return !has_checkpoint("killed") || std::exchange(sent, true) ? 0 : SIGKILL;
  });
  const auto ended = train("killed", shared(place), {"train.steps=400", "evaluate.at_start=false"});
  EXPECT_EQ(ended.exit_code, 1) << ended.err;
  EXPECT_EQ(error_lines(ended).size(), 1u) << ended.err;
  EXPECT_LT(error_lines(ended).at(0).size(), 300u);
  EXPECT_NE(ended.err.find("start it again"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("the newest checkpoint in"), std::string::npos) << ended.err;
  EXPECT_EQ(teacher.get().signal, SIGKILL);
  // The name is free at once; stopped and gone on, the run comes to what it would have come to.
  bool told = false;
  auto again = serve({"--shared", place, "--dtype", "fp32", "--stay"}, [&](auto) {
    const bool is_done = fs::exists(output("stopped") / "report.json");
    return !is_done || std::exchange(told, true) ? 0 : SIGINT;
  });
  bool stopped = false;
  const auto half = train("stopped", shared(place), {}, [&](auto) {
    return !has_checkpoint("stopped") || std::exchange(stopped, true) ? 0 : SIGKILL;
  });
  EXPECT_EQ(half.signal, SIGKILL);
  const auto resumed = train("stopped", shared(place));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(weights("stopped"), weights("straight"));
  const auto served = again.get();
  EXPECT_EQ(served.exit_code, 0) << served.err;
  EXPECT_NE(served.err.find("student 1 is dropped"), std::string::npos) << served.err;
}

TEST_F(ProcessTeacherRun, AnotherTeacherIsRefusedWhenARunGoesOn) {
  const fs::path other = folder_ / "other";
  ASSERT_EQ(
      distill({"export", "--model", tiny(), "--out", other.string(), "--dtype", "bf16"}).exit_code,
      0);
  const std::string place = scratch_name();
  auto first = serve({"--shared", place, "--dtype", "fp32"});
  bool stopped = false;
  train("run", shared(place), {"train.steps=400"},
        [&](auto) { return !has_checkpoint("run") || std::exchange(stopped, true) ? 0 : SIGKILL; });
  first.get();
  auto second = serve({"--shared", place, "--dtype", "fp32"}, {}, other);
  const auto refused = train("run", shared(place), {"train.steps=400"});
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_NE(refused.err.find("another teacher than when the run began"), std::string::npos)
      << refused.err;
  EXPECT_EQ(second.get().exit_code, 0);
}

TEST_F(ProcessTeacherRun, WaitingForATeacherCanBeStoppedAndEnds) {
  bool sent = false;
  const auto begin = std::chrono::steady_clock::now();
  const auto stopped = train("waits", shared(scratch_name()), {}, [&](auto elapsed) {
    return elapsed < 2s || std::exchange(sent, true) ? 0 : SIGINT;
  });
  EXPECT_EQ(stopped.exit_code, 1) << stopped.err;
  EXPECT_EQ(error_lines(stopped).size(), 1u) << stopped.err;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  const auto nobody = train("nobody", shared(scratch_name()), {"teacher.timeout_seconds=6"});
  EXPECT_EQ(nobody.exit_code, 1) << nobody.err;
  EXPECT_NE(nobody.err.find("start `distill teacher --shared"), std::string::npos) << nobody.err;
}

TEST_F(ProcessTeacherRun, WhatCannotWorkIsRefusedInOneLine) {
  const auto refusal = [&](const std::string& teacher, const std::vector<std::string>& more = {}) {
    const auto result = train("never", teacher, more);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(error_lines(result).size(), 1u) << result.err;
    for (const auto& line : error_lines(result)) EXPECT_LT(line.size(), 300u) << line;
    return result.err;
  };
  EXPECT_NE(refusal("{kind: process}").find("never.yaml:5"), std::string::npos);
  EXPECT_NE(refusal("{kind: process, shared: a, address: \"b:1\"}").find("remove one"),
            std::string::npos);
  EXPECT_NE(refusal("{kind: process, address: nowhere}").find("HOST:PORT"), std::string::npos);
  EXPECT_NE(refusal("{kind: process, shared: a/b}").find("letters, digits"), std::string::npos);
  EXPECT_NE(refusal("{kind: process, shared: a, timeout_seconds: 5}").find("from 6 to"),
            std::string::npos);
  const std::string place = scratch_name();
  bool told = false;
  auto teacher = serve({"--shared", place, "--stay"}, [&](auto) {
    return !fs::exists(folder_ / "done") || std::exchange(told, true) ? 0 : SIGTERM;
  });
  EXPECT_NE(refusal(shared(place), {"loss=[{kind: hidden_mse}]"}).find("inner layers"),
            std::string::npos);
  const auto taken = serve({"--shared", place}).get();
  EXPECT_EQ(taken.exit_code, 2);
  EXPECT_NE(taken.err.find("another teacher has this name"), std::string::npos) << taken.err;
  std::ofstream(folder_ / "done") << "x";
  EXPECT_EQ(teacher.get().exit_code, 0);
}

TEST_F(ProcessTeacherRun, AnotherTokenizerIsRefused) {
  const fs::path other = folder_ / "other";
  fs::copy(tiny_model(), other);
  std::string text = core::read_file(other / "tokenizer.json", 1 << 24);
  for (const auto& [from, to] : {std::pair<std::string, std::string>{"\"!\": 3,", "\"!\": 4,"},
                                 {"\"\\\"\": 4,", "\"\\\"\": 3,"}}) {
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }
  std::ofstream(other / "tokenizer.json") << text;
  const std::string place = scratch_name();
  auto teacher = serve({"--shared", place}, {}, other);
  const auto refused = train("never", shared(place));
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_NE(refused.err.find("has another tokenizer than"), std::string::npos) << refused.err;
  EXPECT_EQ(error_lines(refused).size(), 1u);
  EXPECT_EQ(teacher.get().exit_code, 0);
}

TEST_F(ProcessTeacherRun, ADryRunNeedsNoTeacher) {
  const auto plan = train("plan", shared(scratch_name()), {"--dry-run"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_NE(plan.out.find("teacher_answers"), std::string::npos) << plan.out;
}

}  // namespace
}  // namespace distill::testing
