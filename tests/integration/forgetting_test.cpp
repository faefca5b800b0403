// A run whose monitor has it go back is killed at every kind of moment; the same command must
// decide the same and end with the same bytes.
#include <csignal>
#include <cstdlib>

#include <distill/core/files.h>

#include "integration/tiny_run.h"
#include "support/jsonl_file.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

class ForgetfulRun : public TinyRun {
 public:
  ForgetfulRun() {
    std::vector<std::string> junk(12, R"({"text": "qx zv qx zv qx zv qx zv jq"})");
    write_lines(folder() / "junk.jsonl", junk);
  }
  ProgramResult start(ProgramOptions options = {}) const {
    const std::string text = (tiny_model() / "eval.jsonl").string();
    return train(
        {"train.steps=6", "student={model: " + tiny_model().string() + "}",
         "data.train.0.path=" + (folder() / "junk.jsonl").string(),
         "loss=[{kind: forward_kl, weight: 0.1}, {kind: cross_entropy}]",
         "train.optimizer.lr=5.0e-3", "train.schedule.warmup_steps=5", "train.gradient_clip=0",
         "checkpoint.every=3", "evaluate.sets=[{name: text, path: " + text + "}]",
         "forgetting={every: 2, max_drop: 0.02, react: {replay: [{path: " +
             (tiny_model() / "train.jsonl").string() +
             ", weight: 5}], kl_weight_factor: 2, max_reactions: 2}}"},
        std::move(options));
  }
  std::string seen() const { return core::read_file(output() / "forgetting.json", 1 << 20); }
  std::map<std::string, std::string> shim(long at) const {
    return {{"LD_PRELOAD", FAULT_SHIM},
            {"FAULT_AT", std::to_string(at)},
            {"FAULT_ERRNO", "0"},
            {"FAULT_UNDER", output().string()}};
  }
};

TEST(ForgettingCrash, KilledBeforeAnyWriteTheRunReactsAlikeAndEndsBitForBit) {
  const ForgetfulRun straight;
  auto counting = straight.shim(0);
  counting["FAULT_COUNT"] = (straight.folder() / "count").string();
  const auto result = straight.start({.environment = counting});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ASSERT_NE(straight.seen().find("\"back_to\": 2"), std::string::npos) << straight.seen();
  long calls = 0;
  std::ifstream(straight.folder() / "count") >> calls;
  ASSERT_GT(calls, 60);
  const long stride = std::getenv("DISTILL_EXHAUSTIVE") != nullptr ? 1 : calls / 30 + 1;
  for (long at = 1; at <= calls; at += stride) {
    const ForgetfulRun run;
    const auto killed = run.start({.environment = run.shim(at)});
    ASSERT_EQ(killed.signal, SIGKILL) << "call " << at << ": " << killed.err;
    const auto resumed = run.start();
    ASSERT_EQ(resumed.exit_code, 0) << "after a kill at call " << at << ": " << resumed.err;
    ASSERT_EQ(run.final_weights_hash(), straight.final_weights_hash()) << "call " << at;
    ASSERT_EQ(run.seen(), straight.seen()) << "call " << at;
  }
}

}  // namespace
}  // namespace distill::testing
