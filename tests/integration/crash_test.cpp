// A run is killed or its disk fills up, at every kind of moment; the same command must carry on and
// end with the same bytes.
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <distill/core/random.h>

#include "integration/tiny_run.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSteps = "train.steps=4";

std::map<std::string, std::string> shim(const TinyRun& run, long at, int code = 0) {
  return {{"LD_PRELOAD", FAULT_SHIM},
          {"FAULT_AT", std::to_string(at)},
          {"FAULT_ERRNO", std::to_string(code)},
          {"FAULT_UNDER", run.output().string()}};
}

std::string straight_hash() {
  const TinyRun run;
  EXPECT_EQ(run.train({kSteps}).exit_code, 0);
  return run.final_weights_hash();
}

/// How many calls can be hit. Removals count as places to kill at, a full disk does not refuse
/// them.
long count_calls(int code = 0) {
  const TinyRun run;
  auto environment = shim(run, 0, code);
  environment["FAULT_COUNT"] = (run.folder() / "count").string();
  EXPECT_EQ(run.train({kSteps}, {.environment = environment}).exit_code, 0);
  long calls = 0;
  std::ifstream(run.folder() / "count") >> calls;
  return calls;
}

/// Every k-th point in a normal run, all of them with DISTILL_EXHAUSTIVE=1.
long stride(long calls, long points) {
  return std::getenv("DISTILL_EXHAUSTIVE") != nullptr ? 1 : calls / points + 1;
}

TEST(Crash, KilledBeforeAnyWriteTheRunGoesOnBitForBit) {
  const std::string expected = straight_hash();
  const long calls = count_calls();
  ASSERT_GT(calls, 40);
  for (long at = 1; at <= calls; at += stride(calls, 40)) {
    const TinyRun run;
    const auto killed = run.train({kSteps}, {.environment = shim(run, at)});
    ASSERT_EQ(killed.signal, SIGKILL) << "call " << at << ": " << killed.err;
    const auto resumed = run.train({kSteps});
    ASSERT_EQ(resumed.exit_code, 0) << "after a kill at call " << at << ": " << resumed.err;
    ASSERT_EQ(run.final_weights_hash(), expected) << "after a kill at call " << at;
  }
}

TEST(Crash, FullDiskIsOneLineAndTheRunGoesOnBitForBit) {
  const std::string expected = straight_hash();
  const long calls = count_calls(ENOSPC);
  const int codes[] = {ENOSPC, EIO, EDQUOT};
  for (long at = 1, turn = 0; at <= calls; at += stride(calls, 30), ++turn) {
    const TinyRun run;
    const auto failed = run.train({kSteps}, {.environment = shim(run, at, codes[turn % 3])});
    // Only the page may be missing from a run that is done.
    const bool done =
        failed.err.find("its page could not be made") != std::string::npos && failed.exit_code == 0;
    ASSERT_EQ(failed.exit_code, done ? 0 : 1) << "call " << at << ": " << failed.err;
    ASSERT_EQ(error_lines(failed).size(), done ? 0u : 1u) << "call " << at << ": " << failed.err;
    const auto resumed = run.train({kSteps});
    ASSERT_EQ(resumed.exit_code, 0) << "after a failure at call " << at << ": " << resumed.err;
    ASSERT_EQ(run.final_weights_hash(), expected) << "after a failure at call " << at;
    for (const auto& entry : fs::recursive_directory_iterator(run.output())) {
      EXPECT_EQ(entry.path().filename().string().find("tmp"), std::string::npos) << entry.path();
    }
  }
}

TEST(Crash, KilledWhileTokensAreCachedTheRunGoesOnBitForBit) {
  const std::string expected = straight_hash();
  const TinyRun counted;
  const auto cache = [](const TinyRun& run) {
    return "data.cache=" + (run.folder() / "tokens").string();
  };
  const auto faults = [](const TinyRun& run, long at) {
    auto environment = shim(run, at);
    environment["FAULT_UNDER"] = (run.folder() / "tokens").string();
    return environment;
  };
  auto counting = faults(counted, 0);
  counting["FAULT_COUNT"] = (counted.folder() / "count").string();
  ASSERT_EQ(counted.train({kSteps, cache(counted)}, {.environment = counting}).exit_code, 0);
  long calls = 0;
  std::ifstream(counted.folder() / "count") >> calls;
  ASSERT_GT(calls, 10);
  for (long at = 1; at <= calls; at += stride(calls, 15)) {
    const TinyRun run;
    const auto killed = run.train({kSteps, cache(run)}, {.environment = faults(run, at)});
    ASSERT_EQ(killed.signal, SIGKILL) << "call " << at << ": " << killed.err;
    ASSERT_EQ(run.train({kSteps, cache(run)}).exit_code, 0) << "call " << at;
    ASSERT_EQ(run.final_weights_hash(), expected) << "call " << at;
    for (const auto& entry : fs::directory_iterator(run.folder() / "tokens")) {
      const auto extension = entry.path().extension();  // an empty lock does no harm
      EXPECT_TRUE(extension == ".tokens" || extension == ".lock") << entry.path();
    }
  }
}

TEST(Crash, KilledAtRandomMomentsTheRunGoesOnBitForBit) {
  const TinyRun straight;
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(straight.train().exit_code, 0);
  // Moments of this machine's own run, on whatever machine it is.
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  core::RandomState random(2026);
  int kills = 0;
  for (int trial = 0; trial < 10; ++trial) {
    const TinyRun run;
    for (int start = 0;; ++start) {
      ASSERT_LT(start, 200) << "no progress";
      const std::chrono::milliseconds limit(random.below(whole.count() + 1));
      const auto result = run.train({}, {.signal = [&](std::chrono::milliseconds elapsed) {
                                      return elapsed >= limit ? SIGKILL : 0;
                                    }});
      if (result.exit_code == 0) break;
      ASSERT_EQ(result.signal, SIGKILL) << result.err;
      ++kills;
    }
    ASSERT_EQ(run.final_weights_hash(), straight.final_weights_hash()) << "trial " << trial;
  }
  EXPECT_GT(kills, 6);
}

TEST(Crash, ASecondProcessOnTheSameRunIsRefused) {
  const TinyRun run;
  bool tried = false;
  const auto first =
      run.train({"train.steps=60"}, {.signal = [&](std::chrono::milliseconds) {
                  if (!tried && fs::exists(run.output() / "checkpoints/step_00000002")) {
                    tried = true;
                    const auto second = run.train({"train.steps=60"});
                    EXPECT_EQ(second.exit_code, 2) << second.err;
                    EXPECT_NE(second.err.find("another process"), std::string::npos) << second.err;
                  }
                  return 0;
                }});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(tried);
}

}  // namespace
}  // namespace distill::testing
