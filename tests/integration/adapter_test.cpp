// Adapters as a user meets them: trained by distill_train, used by every sub-command.
#include <filesystem>
#include <string>

#include <distill/io/safetensors.h>
#include <distill/models/load.h>

#include "integration/distill_command.h"
#include "support/tensor_compare.h"

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

// An adapter that was trained beside a quantised base is measured on that base.
TEST_F(Adapter, ItsQuantisedBaseGivesWhatTheRunMeasured) {
  TinyRun quantized;
  const auto trained =
      quantized.train({"student.init=null", "student.model=" + tiny(), "student.lora={rank: 4}",
                       "student.quantize=nf4", "teacher={kind: none}",
                       "loss=[{kind: cross_entropy}]", "train.optimizer.lr=0.02", "--json"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const auto report = io::parse_json(trained.out, "report");
  const double expected = io::JsonCursor(report, "report").at("after").at("perplexity").as_double();
  const auto measured = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"eval",
                                    "--model",
                                    tiny(),
                                    "--adapter",
                                    (quantized.output() / "final").string(),
                                    "--data",
                                    (tiny_model() / "eval.jsonl").string(),
                                    "--sequence-length",
                                    "48",
                                    "--dtype",
                                    "fp32",
                                    "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const auto result = distill(all);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto value = io::parse_json(result.out, "out");
    return std::pair(io::JsonCursor(value, "out").at("perplexity").as_double(), result.err);
  };
  const auto [perplexity, notes] = measured({"--quantize", "nf4"});
  EXPECT_NEAR(perplexity, expected, 1e-6 * expected);
  EXPECT_NE(notes.find("weights in nf4 of 4."), std::string::npos) << notes;
  EXPECT_NE(measured({}).first, perplexity);
}

TEST_F(Adapter, LogitsAndGenerationOfAQuantisedBase) {
  std::ofstream(folder / "ids") << "1 7 20 33 2 5 40 11\n";
  const auto logits = [&](const std::vector<std::string>& more) {
    const std::string out = (folder / "logits").string();
    std::vector<std::string> all = {
        "logits", "--model", tiny(), "--adapter", adapter(), "--ids", (folder / "ids").string(),
        "--out",  out};
    all.insert(all.end(), more.begin(), more.end());
    const auto result = distill(all);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const auto file = io::SafetensorsFile::open(out);
    return file.tensor(file.entries().front()).clone();
  };
  const at::Tensor dense = logits({}), coarse = logits({"--quantize", "INT8"});
  const double error = relative_error(coarse, dense);
  EXPECT_GT(error, 1e-4);
  EXPECT_LT(error, 0.05);
  const auto written = distill({"generate", "--model", tiny(), "--adapter", adapter(), "--quantize",
                                "fp8", "--prompt", "The river", "--max-new-tokens", "4"});
  ASSERT_EQ(written.exit_code, 0) << written.err;
  EXPECT_NE(written.err.find("weights in fp8 of 8."), std::string::npos) << written.err;
  const auto refused =
      distill({"generate", "--model", tiny(), "--quantize", "int4", "--prompt", "x"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("--quantize"), std::string::npos) << refused.err;
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
