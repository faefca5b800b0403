// Adapters as a user meets them: trained by distill_train, used by every sub-command.
#include <filesystem>
#include <string>

#include <distill/models/load.h>

#include "integration/distill_command.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

/// One trained adapter for all tests.
class Adapter : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    run = std::make_unique<TinyRun>();
    const auto result = run->train({"student.init=null", "student.model=" + tiny(),
                                    "student.lora={rank: 4}", "teacher={kind: base}",
                                    "loss=[{kind: cross_entropy}]", "train.optimizer.lr=0.02"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.out.find(" generate --model " + tiny() + " --adapter " + adapter()),
              std::string::npos)
        << result.out;
  }
  static void TearDownTestSuite() { run.reset(); }
  static std::string adapter() { return (run->output() / "final").string(); }

  static std::unique_ptr<TinyRun> run;
  TempFolder folder;
};
std::unique_ptr<TinyRun> Adapter::run;

TEST_F(Adapter, EvalSeesIt) {
  const std::string data = (tiny_model() / "eval.jsonl").string();
  const auto base =
      distill({"eval", "--model", tiny(), "--data", data, "--sequence-length", "64", "--json"});
  const auto with = distill({"eval", "--model", tiny(), "--adapter", adapter(), "--data", data,
                             "--sequence-length", "64", "--json"});
  ASSERT_EQ(base.exit_code, 0) << base.err;
  ASSERT_EQ(with.exit_code, 0) << with.err;
  const auto perplexity = [](const std::string& out) {
    const auto value = io::parse_json(out, "out");
    return io::JsonCursor(value, "out").at("perplexity").as_double();
  };
  EXPECT_NE(perplexity(base.out), perplexity(with.out));
}

TEST_F(Adapter, ExportedItGeneratesTheSame) {
  const std::string merged = (folder / "merged").string();
  const auto result =
      distill({"export", "--model", tiny(), "--adapter", adapter(), "--out", merged});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NO_THROW(models::load_causal_lm(merged, {}));
  EXPECT_TRUE(fs::exists(folder / "merged/tokenizer.json"));
  const auto generate = [](std::vector<std::string> model) {
    std::vector<std::string> all = {"generate", "--prompt", "The river", "--max-new-tokens",
                                    "20",       "--dtype",  "fp32"};
    all.insert(all.end(), model.begin(), model.end());
    const auto answer = distill(all);
    EXPECT_EQ(answer.exit_code, 0) << answer.err;
    return answer.out;
  };
  EXPECT_EQ(generate({"--model", merged}), generate({"--model", tiny(), "--adapter", adapter()}));
}

TEST_F(Adapter, NothingIsOverwritten) {
  std::ofstream(folder / "kept") << "x";
  const auto result = distill(
      {"export", "--model", tiny(), "--adapter", adapter(), "--out", folder.path().string()});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("exists already"), std::string::npos) << result.err;
  EXPECT_TRUE(fs::exists(folder / "kept"));
}

TEST_F(Adapter, ForceReplacesAFolderAsAWhole) {
  fs::create_directory(folder / "out");
  std::ofstream(folder / "out/old") << "x";
  const auto refused =
      distill({"export", "--model", tiny(), "--out", (folder / "out").string(), "--force"});
  EXPECT_EQ(refused.exit_code, 2);  // it might be anything
  EXPECT_NE(refused.err.find("is no model folder"), std::string::npos) << refused.err;
  EXPECT_TRUE(fs::exists(folder / "out/old"));
  std::ofstream(folder / "out/config.json") << "{}";
  ASSERT_EQ(distill({"export", "--model", tiny(), "--adapter", adapter(), "--out",
                     (folder / "out").string(), "--force"})
                .exit_code,
            0);
  EXPECT_FALSE(fs::exists(folder / "out/old"));
  EXPECT_TRUE(fs::exists(folder / "out/model.safetensors"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);  // nothing is left beside
  // What cannot be done leaves what was there.
  EXPECT_EQ(distill({"export", "--model", "no/such", "--out", (folder / "out").string(), "--force"})
                .exit_code,
            2);
  EXPECT_TRUE(fs::exists(folder / "out/model.safetensors"));
}

TEST_F(Adapter, InspectSaysWhatItIs) {
  const auto result = distill({"inspect", adapter(), "--check", "--model", tiny()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"adapter folder", "LoRA", "down_proj", "base fingerprint"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << result.out;
  }
}

TEST_F(Adapter, ItsRunIsWhole) {
  const auto result = distill({"inspect", run->output().string(), "--check"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(Adapter, AnotherBaseIsRefused) {
  // Two of the layers: the other shapes are named before any fingerprint.
  TinyRun other;
  ASSERT_EQ(other.train({"train.steps=3"}).exit_code, 0);
  const std::string base = (other.output() / "final").string();
  const auto result = distill({"logits", "--model", base, "--adapter", adapter(), "--ids", "none",
                               "--out", (folder / "out").string()});
  EXPECT_EQ(result.exit_code, 2);
  ASSERT_EQ(error_lines(result).size(), 1u) << result.err;
  EXPECT_NE(result.err.find("has no such layer"), std::string::npos) << result.err;
  const auto checked = distill({"inspect", adapter(), "--check", "--model", base});
  EXPECT_EQ(checked.exit_code, 2);
}

}  // namespace
}  // namespace distill::testing
