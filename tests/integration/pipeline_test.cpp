// Pipelines through the program: killed and stopped at every kind of moment, they go on and end
// with the same bytes.
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <distill/core/json_writer.h>
#include <distill/core/random.h>
#include <distill/core/strings.h>

#include "integration/distill_command.h"
#include "integration/tiny_pipeline.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

#define EXPECT_SAYS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "not in: " << (text)

std::map<std::string, std::string> shim(const TinyPipeline& chain, long at) {
  return {{"LD_PRELOAD", FAULT_SHIM},
          {"FAULT_AT", std::to_string(at)},
          {"FAULT_ERRNO", "0"},
          {"FAULT_UNDER", chain.output().string()}};
}

long stride(long calls, long points) {
  return std::getenv("DISTILL_EXHAUSTIVE") != nullptr ? 1 : calls / points + 1;
}

void kill_at_every_point(const std::vector<std::string>& arguments, long points) {
  const TinyPipeline straight;
  ASSERT_EQ(straight.train(arguments).exit_code, 0);
  const TinyPipeline counted;
  auto counting = shim(counted, 0);
  counting["FAULT_COUNT"] = (counted.folder() / "count").string();
  ASSERT_EQ(counted.train(arguments, {.environment = counting}).exit_code, 0);
  long calls = 0;
  std::ifstream(counted.folder() / "count") >> calls;
  ASSERT_GT(calls, 60);
  for (long at = 1; at <= calls; at += stride(calls, points)) {
    const TinyPipeline chain;
    const auto killed = chain.train(arguments, {.environment = shim(chain, at)});
    ASSERT_EQ(killed.signal, SIGKILL) << "call " << at << ": " << killed.err;
    const auto resumed = chain.train(arguments);
    ASSERT_EQ(resumed.exit_code, 0) << "after a kill at call " << at << ": " << resumed.err;
    ASSERT_EQ(chain.hashes(), straight.hashes()) << "after a kill at call " << at;
    for (const auto& entry : fs::recursive_directory_iterator(chain.output())) {
      EXPECT_EQ(entry.path().filename().string().find(".tmp"), std::string::npos)
          << entry.path() << " after a kill at call " << at;
    }
  }
}

TEST(Pipeline, KilledBeforeAnyWriteItGoesOnBitForBit) {
  kill_at_every_point({}, 30);
}

TEST(Pipeline, KilledWhileAGateAsksForAnotherTryItGoesOnBitForBit) {
  const TinyPipeline longer;  // the gate asks for what only this reaches
  ASSERT_EQ(longer.train({"stages.three.train.steps=4"}).exit_code, 0);
  const auto value = io::read_json_file(longer.in("stages/three/report.json"));
  const double reached =
      io::JsonCursor(value, "report").at("after").at("kl_to_teacher").as_double();
  const std::vector<std::string> arguments = {core::concat(
      "stages.three.gates=[{require: kl_to_teacher <= ", core::JsonWriter().value(reached).text(),
      ", on_failure: retry, with: {train.steps: 4}}]")};
  const TinyPipeline once;
  ASSERT_EQ(once.train(arguments).exit_code, 0);
  EXPECT_TRUE(fs::exists(once.in("stages/three/attempts/1/checkpoints")));
  EXPECT_EQ(once.hashes(), longer.hashes());
  kill_at_every_point(arguments, 15);
}

TEST(Pipeline, KilledAtRandomMomentsItGoesOnBitForBit) {
  const TinyPipeline straight;
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(straight.train().exit_code, 0);
  // Moments of this machine's own run, on whatever machine it is.
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  core::RandomState random(2026);
  int kills = 0;
  for (int trial = 0; trial < 6; ++trial) {
    const TinyPipeline chain;
    for (int start = 0;; ++start) {
      ASSERT_LT(start, 200) << "no progress";
      const std::chrono::milliseconds limit(random.below(whole.count() + 1));
      const auto result = chain.train({}, {.signal = [&](std::chrono::milliseconds elapsed) {
                                        return elapsed >= limit ? SIGKILL : 0;
                                      }});
      if (result.exit_code == 0) break;
      ASSERT_EQ(result.signal, SIGKILL) << result.err;
      ++kills;
    }
    ASSERT_EQ(chain.hashes(), straight.hashes()) << "trial " << trial;
  }
  EXPECT_GT(kills, 3);
}

TEST(Pipeline, CtrlCIsOneLineAndTheSameCommandGoesOn) {
  const TinyPipeline straight;
  ASSERT_EQ(straight.train({"train.steps=30"}).exit_code, 0);
  const TinyPipeline chain;
  bool sent = false;
  const auto stopped =
      chain.train({"train.steps=30"}, {.signal = [&](std::chrono::milliseconds) {
                    if (sent || !fs::exists(chain.in("stages/two/checkpoints/step_00000002"))) {
                      return 0;
                    }
                    sent = true;
                    return SIGINT;
                  }});
  ASSERT_EQ(stopped.exit_code, 1) << stopped.err;
  ASSERT_EQ(error_lines(stopped).size(), 1u) << stopped.err;
  EXPECT_SAYS(stopped.err, "run the same command again to go on");
  const auto resumed = chain.train({"train.steps=30"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_SAYS(resumed.err, "stage 1/2 three: done before and unchanged, skipped");
  EXPECT_SAYS(resumed.err, "going on from step ");
  EXPECT_EQ(chain.hashes(), straight.hashes());
}

TEST(Pipeline, SaysWhatItDoesAndWhatCameOfIt) {
  const TinyPipeline chain;
  const auto done = chain.train();
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_SAYS(done.err, "stage 1/2 three: train, ");
  EXPECT_SAYS(done.err, "stage 2/2 two  step 3/3");
  EXPECT_SAYS(done.err, "gate `perplexity < 0`: does not hold");
  EXPECT_SAYS(done.out, "generate --model " + chain.in("final").string());
  EXPECT_EQ(done.err.find("page could not be made"), std::string::npos) << done.err;
  EXPECT_TRUE(fs::exists(chain.in("report.html")));
  EXPECT_TRUE(fs::exists(chain.in("stages/two/report.html")));
  const auto json = chain.train({"--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const auto value = io::parse_json(json.out, "out");
  const io::JsonCursor report(value, "out");
  EXPECT_EQ(report.at("stages").size(), 2u);
  EXPECT_TRUE(report.at("after").has("kl_to_teacher"));
  const auto shown = distill({"inspect", chain.output().string(), "--check"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err << shown.out;
  EXPECT_SAYS(shown.out, "pipeline folder");
  EXPECT_SAYS(shown.out, "stage two");
  EXPECT_EQ(distill({"inspect", chain.in("final").string(), "--check"}).exit_code, 0);
}

TEST(Pipeline, ADryRunWritesNothing) {
  const TinyPipeline chain;
  const auto plan = chain.train({"--dry-run"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_SAYS(plan.out, "## stage two (train)");
  EXPECT_FALSE(fs::exists(chain.output()));
}

TEST(Pipeline, AGateThatStopsEndsWithOne) {
  const TinyPipeline chain;
  const auto stopped = chain.train({"stages.three.gates.0.on_failure=stop"});
  EXPECT_EQ(stopped.exit_code, 1);
  ASSERT_EQ(error_lines(stopped).size(), 1u) << stopped.err;
  EXPECT_SAYS(stopped.err, "so final/ is not written");
  EXPECT_FALSE(fs::exists(chain.in("stages/two")));
  EXPECT_EQ(chain.train().exit_code, 0);  // the gate only warns now: it goes on
}

TEST(Pipeline, BadInputIsTwoAndAllAtOnce) {
  const TinyPipeline chain;
  const auto refused = chain.train(
      {"stages.two.teacher.model=/nowhere", "stages.three.gates=[{require: accuracyy < 1}]"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(error_lines(refused).size(), 2u) << refused.err;
  EXPECT_FALSE(fs::exists(chain.output()));
  EXPECT_EQ(chain.train({"--resume"}).exit_code, 2);
  const auto redo = chain.train({"--redo", "nobody"});
  EXPECT_EQ(redo.exit_code, 2);
  EXPECT_SAYS(redo.err, "there is no such stage");
  for (const std::vector<std::string>& two :
       {std::vector<std::string>{"--redo", "nobody,noone"}, {"--redo=nobody", "--redo=noone"}}) {
    const auto both = chain.train(two);
    EXPECT_EQ(error_lines(both).size(), 2u) << both.err;
    EXPECT_SAYS(both.err, "noone");
  }
}

TEST(Pipeline, ASecondProcessIsRefused) {
  const TinyPipeline chain;
  bool tried = false;
  const auto first =
      chain.train({"train.steps=40"}, {.signal = [&](std::chrono::milliseconds) {
                    if (!tried && fs::exists(chain.in("stages/three/checkpoints/step_00000002"))) {
                      tried = true;
                      const auto second = chain.train({"train.steps=40"});
                      EXPECT_EQ(second.exit_code, 2) << second.err;
                      EXPECT_SAYS(second.err, "another process");
                    }
                    return 0;
                  }});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(tried);
}

}  // namespace
}  // namespace distill::testing
