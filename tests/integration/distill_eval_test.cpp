// `distill eval` over sets: what it prints, and what it refuses.
#include <string>

#include "integration/distill_command.h"
#include "support/jsonl_file.h"
#include "support/shared_data.h"

namespace distill::testing {
namespace {

class DistillEval : public ::testing::Test {
 protected:
  DistillEval() {
    questions = write_lines(
        folder / "q.jsonl",
        {R"({"context": "The river runs past", "choices": [" mills", " hills"], "label": 0})",
         R"({"context": "The old miller", "choices": [" sleeps", " a", " is"], "label": 2})"});
    pairs = write_lines(folder / "p.jsonl",
                        {R"({"stereotype": "The old miller sleeps.", "antistereotype": )"
                         R"("The young miller sleeps.", "bias_type": "age"})"});
  }
  ProgramResult eval(const std::string& task, const std::string& data,
                     std::vector<std::string> more = {}) {
    more.insert(more.begin(),
                {"eval", "--model", tiny(), "--dtype", "fp32", "--task", task, "--data", data});
    return distill(more);
  }

  TempFolder folder;
  std::string questions, pairs;
};

TEST_F(DistillEval, ChoiceAsJsonWithATeacher) {
  const auto result = eval("choice", questions, {"--teacher", tiny(), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto value = io::parse_json(result.out, "out");
  const io::JsonCursor report(value, "out");
  EXPECT_EQ(report.at("kind").as_string(), "choice");
  EXPECT_EQ(report.at("rows").as_int(), 2);
  EXPECT_EQ(report.at("accuracy").as_double(), report.at("teacher").at("accuracy").as_double());
  EXPECT_EQ(report.at("difference").at("accuracy").as_double(), 0);
  EXPECT_EQ(report.at("intervals").at("accuracy").size(), 2u);
}

TEST_F(DistillEval, BiasAsATableByType) {
  const auto result = eval("bias", pairs, {"--teacher", tiny()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* part :
       {"student", "teacher", "student - teacher", "prefers the stereotype", "age", "1 row;",
        "0.0 points (", "so few rows say little", "over the same rows"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
  }
  for (std::size_t begin = 0; begin < result.out.size();) {
    const std::size_t end = result.out.find('\n', begin);
    EXPECT_LE(end - begin, 120u);
    begin = end + 1;
  }
}

TEST_F(DistillEval, BadRowsAndTasksAreOneLine) {
  const auto refused = [](const ProgramResult& result, const std::string& part) {
    EXPECT_EQ(result.exit_code, 2) << result.err;
    ASSERT_EQ(error_lines(result).size(), 1u) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  };
  refused(
      eval("choice", pairs),
      "p.jsonl:1: `context` is missing, expected `context`, `choices` and `label`, found "
      "`stereotype`, `antistereotype`, `bias_type`; a pair of sentences is for the task `bias`");
  refused(eval("bias", questions), "q.jsonl:1: `category` is missing, expected a question about");
  refused(eval("bias", questions), "other questions are for the task `choice`");
  refused(eval("perplexity", questions), "is for the task `choice` or `bias`");
  refused(eval("choice", questions, {"--chat-template", "none"}),
          "--chat-template: has no effect with --task choice");
  refused(eval("bias", pairs, {"--sequence-length", "64"}),
          "--sequence-length: has no effect with --task bias");
  refused(eval("choice", questions, {"--max-rows", "-1"}),
          "--max-rows: expected a number of 0 or more, it is `-1`");
  refused(eval("choice", questions, {"--max-rows", "few"}), "it is `few`");
  refused(eval("guess", questions), "--task");
  refused(eval("choice", (folder / "none.jsonl").string()), "none.jsonl");
}

// Told before a large file is read for nothing.
TEST_F(DistillEval, ATeacherOfAnotherTokenizerIsForSetsAlone) {
  const auto shared = shared_folder();
  if (!shared) GTEST_SKIP() << "no shared data";
  const std::vector<std::string> teacher = {"--teacher", (*shared / "models/stories260K").string()};
  EXPECT_EQ(eval("choice", questions, teacher).exit_code, 0);
  const auto refused = eval("perplexity", (folder / "none.jsonl").string(), teacher);
  EXPECT_EQ(refused.exit_code, 2);
  ASSERT_EQ(error_lines(refused).size(), 1u) << refused.err;
  EXPECT_NE(refused.err.find("its tokenizer differs from that of"), std::string::npos);
  EXPECT_NE(refused.err.find("leave out --teacher, or use --task choice or bias"),
            std::string::npos)
      << refused.err;
}

TEST_F(DistillEval, HelpSaysWhatTheRowsAre) {
  const std::string help = distill({"eval", "--help"}).out;
  for (const char* part : {"perplexity|agreement|choice|bias", "context, choices, label",
                           "fp32|bf16", "auto|cpu|cuda", "int8|fp8|nf4"}) {
    EXPECT_NE(help.find(part), std::string::npos) << part << "\n" << help;
  }
  EXPECT_EQ(help.find("->"), std::string::npos) << help;
}

// The whole of a real set through the reader and the scorer of a model that knows nothing.
TEST_F(DistillEval, RealSetsAreRead) {
  const auto shared = shared_folder();
  if (!shared) GTEST_SKIP() << "no shared data";
  const auto measured = [&](const std::string& task, const std::string& set) {
    const auto result = eval(task, (*shared / "data" / set / "eval.jsonl").string(),
                             {"--max-rows", "20", "--json"});
    EXPECT_EQ(result.exit_code, 0) << set << ": " << result.err;
    return result.out;
  };
  for (const char* set : {"clue_tnews", "clue_ocnli", "clue_eprstmt", "clue_bustm", "clue_cluewsc",
                          "clue_chid", "piqa"}) {
    EXPECT_NE(measured("choice", set).find("\"accuracy\":"), std::string::npos) << set;
  }
  EXPECT_NE(measured("bias", "bbq").find("\"bias_score\":"), std::string::npos);
  EXPECT_NE(measured("bias", "crows_pairs").find("\"stereotype_share\":"), std::string::npos);
}

}  // namespace
}  // namespace distill::testing
