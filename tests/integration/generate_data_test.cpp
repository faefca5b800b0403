#include <fstream>

#include <distill/core/files.h>
#include <distill/core/hash.h>

#include "integration/distill_command.h"
#include "support/jsonl_file.h"

namespace distill::testing {
namespace {

namespace fs = std::filesystem;

class GenerateDataCommand : public ::testing::Test {
 protected:
  GenerateDataCommand() {
    write_lines(prompts_, {R"({"prompt": "A teacher counts"})", R"({"prompt": "A student learns"})",
                           R"({"prompt": "Twelve sacks of"})"});
  }
  ProgramResult run(const fs::path& out, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"generate-data",
                                          "--model",
                                          tiny(),
                                          "--prompts",
                                          prompts_.string(),
                                          "--out",
                                          out.string(),
                                          "--chat-template",
                                          "none",
                                          "--samples",
                                          "4",
                                          "--max-new-tokens",
                                          "40",
                                          "--temperature",
                                          "1.5",
                                          "--top-p",
                                          "1",
                                          "--rows-at-once",
                                          "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return distill(arguments);
  }

  TempFolder folder_;
  fs::path prompts_ = folder_ / "prompts.jsonl";
};

TEST_F(GenerateDataCommand, WritesRowsThatTrainingReadsTheSameAgain) {
  const auto result = run(folder_ / "a.jsonl", {"--json", "--min-likelihood", "-20"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto value = io::parse_json(result.out, "out");
  const io::JsonCursor counts(value, "out");
  EXPECT_EQ(counts.at("rows").as_int(), 3);
  EXPECT_EQ(counts.at("asked").as_int(), 12);
  std::int64_t sum = 0;
  for (const char* name : {"written", "too_long", "cut_off", "empty", "wrong_length", "repetitive",
                           "no_match", "unlikely", "duplicates", "other_end", "pattern_limit"}) {
    sum += counts.at(name).as_int();
  }
  EXPECT_EQ(sum, 12) << "each answer counts once";
  EXPECT_GT(counts.at("written").as_int(), 0) << result.out;
  const auto check = distill({"inspect", (folder_ / "a.jsonl").string(), "--check"});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  ASSERT_EQ(run(folder_ / "b.jsonl", {"--min-likelihood", "-20"}).exit_code, 0);
  EXPECT_EQ(core::hash_file(folder_ / "a.jsonl"), core::hash_file(folder_ / "b.jsonl"));
  ASSERT_EQ(run(folder_ / "c.jsonl", {"--min-likelihood", "-20", "--seed", "18"}).exit_code, 0);
  EXPECT_NE(core::hash_file(folder_ / "a.jsonl"), core::hash_file(folder_ / "c.jsonl"));
  EXPECT_EQ(run(folder_ / "a.jsonl").exit_code, 2) << "it exists";
}

TEST_F(GenerateDataCommand, ArgumentsThatMakeNoSenseAreRefused) {
  const auto refusal = [&](const std::vector<std::string>& more) {
    const auto result = run(folder_ / "never.jsonl", more);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(error_lines(result).size(), 1u) << result.err;
    return result.err;
  };
  EXPECT_NE(refusal({"--judge-model", tiny()}).find("--min-likelihood"), std::string::npos);
  EXPECT_NE(refusal({"--answer-regex", "("}).find("is no regular expression"), std::string::npos);
  EXPECT_NE(refusal({"--parallel", "2"}).find("--url"), std::string::npos);
  EXPECT_NE(refusal({"--min-likelihood", "1"}).find("0 at most"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "never.jsonl"));
}

}  // namespace
}  // namespace distill::testing
