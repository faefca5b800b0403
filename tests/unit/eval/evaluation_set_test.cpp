#include <distill/eval/evaluation_set.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/data/dataset.h>
#include <distill/eval/evaluate.h>
#include <distill/eval/set_summary.h>

#include "support/byte_tokenizer.h"
#include "support/jsonl_file.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"
#include "support/toy_model.h"

namespace distill::eval {
namespace {

using testing::ByteTokenizer;
using testing::ToyModel;
using testing::write_lines;

class EvaluationSetTest : public ::testing::Test {
 protected:
  EvaluationSet load(SetTask task, const std::string& path, std::int64_t max_rows = 0) {
    return EvaluationSet::load(
        {task, {path}, max_rows},
        {.rows = {.tokenizer = tokenizer}, .max_positions = 64, .sequence_length = 16}, log);
  }
  SetSummary measure(const EvaluationSet& set) {
    const auto ranks = dist::make_single();
    return summarise(set.measure(model, *ranks, {.share_beginnings = false}));
  }

  testing::TempFolder folder;
  ByteTokenizer tokenizer;
  testing::RecordingLogger log;
  ToyModel model{{.seed = 7, .dtype = at::kDouble, .scale = 2}};
};

constexpr const char* kQuestion =
    R"({"context": "Is it?", "choices": [" no", " yes"], "label": 1})";
constexpr const char* kPair = R"({"stereotype": "A.", "antistereotype": "B.", "bias_type": "age"})";
constexpr const char* kBbq =
    R"({"context": "Who?", "choices": [" a", " b", " ?"], "label": 2, "category": "Age",)"
    R"( "condition": "ambig", "polarity": "neg", "groups": ["x", "y", "unknown"],)"
    R"( "stereotyped": ["x"]})";

TEST_F(EvaluationSetTest, PerplexityIsThatOfTheEvaluation) {
  const std::string path = write_lines(
      folder / "t.jsonl", {R"({"text": "a text of more than sixteen bytes"})", R"({"text": "b"})",
                           R"({"prompt": "read this", "completion": " learn that"})"});
  const auto set = load(SetTask::kPerplexity, path);
  data::DataOptions options;
  options.sequence_length = 16;
  const auto dataset = data::Dataset::load({{path, 1.0}}, options, tokenizer, nullptr, log);
  const auto ranks = dist::make_single();
  const auto whole = evaluate(model, nullptr, *dataset, *ranks, {});
  EXPECT_NEAR(measure(set).value("perplexity"), whole.perplexity, 1e-9 * whole.perplexity);
  EXPECT_EQ(set.kind(), SetKind::kPerplexity);
  EXPECT_GT(set.num_rows(), 3);  // pieces
}

TEST_F(EvaluationSetTest, TheTaskAndTheRowsTellTheKind) {
  const std::string questions = write_lines(folder / "q.jsonl", {kQuestion, kQuestion, kQuestion});
  const auto set = load(SetTask::kChoice, questions, 2);
  EXPECT_EQ(set.kind(), SetKind::kChoice);
  EXPECT_EQ(set.num_rows(), 2);
  EXPECT_EQ(measure(set).figures.size(), 2u);
  const std::string pairs = write_lines(folder / "p.jsonl", {kPair});
  EXPECT_EQ(load(SetTask::kBias, pairs).kind(), SetKind::kPairs);
  EXPECT_EQ(kind_of({SetTask::kBias, {pairs}}), SetKind::kPairs);
  const std::string bbq = write_lines(folder / "b.jsonl", {kBbq});
  EXPECT_EQ(load(SetTask::kBias, bbq).kind(), SetKind::kQuestions);
  EXPECT_EQ(measure(load(SetTask::kBias, bbq)).categories.front().name, "Age");
  EXPECT_EQ(load(SetTask::kChoice, bbq).kind(), SetKind::kChoice);
}

TEST_F(EvaluationSetTest, FingerprintsAreOfWhatIsAsked) {
  const auto print = [&](const std::string& line) {
    return load(SetTask::kChoice, write_lines(folder / "f.jsonl", {line})).fingerprint();
  };
  EXPECT_EQ(print(kQuestion), print(kQuestion));
  std::string other = kQuestion;
  other.replace(other.find("\"label\": 1"), 10, "\"label\": 0");
  EXPECT_NE(print(kQuestion), print(other));
}

TEST_F(EvaluationSetTest, BadRowsAreNamed) {
  const std::string questions = write_lines(folder / "q.jsonl", {kQuestion, kPair});
  const auto message = [&](SetTask task, const std::string& path) {
    return testing::message_of<InputError>([&] { load(task, path); });
  };
  EXPECT_NE(message(SetTask::kChoice, questions).find("q.jsonl:2: "), std::string::npos);
  EXPECT_NE(message(SetTask::kBias, questions).find("q.jsonl:1: "), std::string::npos);
  EXPECT_NE(message(SetTask::kPerplexity, questions).find("q.jsonl:1: "), std::string::npos);
  EXPECT_NE(message(SetTask::kChoice, (folder / "no.jsonl").string()).find("no.jsonl"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::eval
