#include <distill/data/question_row.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include "support/jsonl_file.h"
#include "support/shared_data.h"
#include "support/temp_folder.h"

namespace distill::data {
namespace {

using testing::message_of;

io::JsonlRow row_of(const std::string& json) {
  return {io::parse_json(json, "f.jsonl:3"), 3, "f.jsonl:3"};
}

std::string refusal(const std::string& json, bool bias = false) {
  return message_of<FormatError>([&] { parse_question_row(row_of(json), bias); });
}

TEST(QuestionRow, IsReadAsItStands) {
  const auto row = parse_question_row(
      row_of(R"({"context": "", "choices": [" a", "b "], "label": 1, "other": null})"), false);
  EXPECT_EQ(row.context, "");
  EXPECT_EQ(row.choices, (std::vector<std::string>{" a", "b "}));
  EXPECT_EQ(row.label, 1u);
  EXPECT_EQ(row.source, "f.jsonl:3");
  EXPECT_FALSE(row.bias);
}

TEST(QuestionRow, BadOnesAreRefusedByName) {
  EXPECT_EQ(refusal(R"({"context": "", "choices": ["a", "b"], "label": 2})"),
            "f.jsonl:3: `label` is 2, expected the place of a choice, 0 to 1");
  EXPECT_EQ(refusal(R"({"context": "", "choices": ["a", "b"], "label": -1})"),
            "f.jsonl:3: `label` is -1, expected the place of a choice, 0 to 1");
  EXPECT_EQ(refusal(R"({"context": "", "choices": ["a", ""], "label": 0})"),
            "f.jsonl:3: `choices[1]` is empty, expected at least one character");
  EXPECT_EQ(refusal(R"({"context": "", "choices": ["a"], "label": 0})"),
            "f.jsonl:3: `choices` has 1 entries, expected 2 to 1000");
  EXPECT_NE(refusal(R"({"context": "", "choices": ["a", "b"], "label": 0.0})").find("`label`"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"choices": ["a", "b"], "label": 0})").find("context"), std::string::npos);
  EXPECT_NE(refusal(R"({"context": "", "choices": "ab", "label": 0})").find("`choices`"),
            std::string::npos);
}

std::string question(const std::string& polarity, const std::string& groups,
                     const std::string& stereotyped) {
  return R"({"context": "c", "choices": [" The Korean man", " Not known", " The North Korean"],)"
         R"( "label": 1, "category": "Age", "condition": "ambig", "polarity": ")" +
         polarity + R"(", "groups": )" + groups + R"(, "stereotyped": )" + stereotyped + "}";
}

TEST(QuestionRow, RolesComeFromGroups) {
  const auto row = parse_question_row(
      row_of(question("neg", R"(["old", "unknown", "nonOld"])", R"(["nonOld", "x"])")), true);
  ASSERT_TRUE(row.bias);
  EXPECT_TRUE(row.bias->ambiguous);
  EXPECT_EQ(row.bias->roles, (std::vector<ChoiceRole>{ChoiceRole::kOther, ChoiceRole::kUnknown,
                                                      ChoiceRole::kStereotyped}));
  EXPECT_TRUE(row.bias->has_direction());
  EXPECT_TRUE(row.bias->is_biased(2));
  EXPECT_FALSE(row.bias->is_biased(0));
  EXPECT_FALSE(row.bias->is_biased(1));
}

// A stereotype answers a question about something good with the others.
TEST(QuestionRow, APositiveQuestionTurnsTheDirection) {
  const auto row = parse_question_row(
      row_of(question("nonneg", R"(["old", "unknown", "nonOld"])", R"(["nonOld"])")), true);
  EXPECT_TRUE(row.bias->is_biased(0));
  EXPECT_FALSE(row.bias->is_biased(2));
  EXPECT_FALSE(row.bias->is_biased(1));
}

TEST(QuestionRow, WhereNoGroupIsNamedTheWordsOfTheChoicesTell) {
  const auto roles = [](const std::string& stereotyped) {
    return parse_question_row(
               row_of(question("neg", R"(["Asia", "unknown", "Asia"])", stereotyped)), true)
        .bias;
  };
  EXPECT_EQ(roles(R"(["North Korean"])")->roles[0], ChoiceRole::kOther);
  EXPECT_EQ(roles(R"(["North Korean"])")->roles[2], ChoiceRole::kStereotyped);
  EXPECT_FALSE(roles(R"(["Korea"])")->has_direction());   // no whole word
  EXPECT_FALSE(roles(R"(["Korean"])")->has_direction());  // both
}

TEST(QuestionRow, BadBiasFieldsAreRefusedByName) {
  std::string json = question("neg", R"(["old", "unknown"])", R"(["old"])");
  EXPECT_EQ(refusal(json, true), "f.jsonl:3: `groups` has 2 entries, expected 3: one a choice");
  json = question("bad", R"(["old", "unknown", "x"])", R"(["old"])");
  EXPECT_EQ(refusal(json, true), "f.jsonl:3: `polarity` is `bad`, expected neg or nonneg");
  json = question("neg", R"(["old", "unknown", "x\n"])", R"(["old"])");
  EXPECT_NE(refusal(json, true).find("`groups[2]`"), std::string::npos);
  EXPECT_NO_THROW(parse_question_row(row_of(json), false));  // nobody asks for them
}

TEST(PairRow, IsReadOrRefused) {
  const auto pair = parse_pair_row(row_of(
      R"({"stereotype": "A.", "antistereotype": "B.", "bias_type": "age", "direction": "x"})"));
  EXPECT_EQ(pair.stereotype, "A.");
  EXPECT_EQ(pair.antistereotype, "B.");
  EXPECT_EQ(pair.bias_type, "age");
  EXPECT_EQ(
      message_of<FormatError>([&] {
        parse_pair_row(row_of(R"({"stereotype": "A.", "antistereotype": "", "bias_type": "age"})"));
      }),
      "f.jsonl:3: `antistereotype` is empty, expected at least one character");
}

std::string question_of(int label) {
  return R"({"context": "", "choices": ["a", "b"], "label": )" + std::to_string(label) + "}";
}

TEST(ReadQuestions, FilesInOrderUntilItIsEnough) {
  const testing::TempFolder folder;
  testing::write_lines(folder / "a.jsonl", {question_of(0), question_of(1)});
  testing::write_lines(folder / "b.jsonl", {question_of(1), question_of(7)});
  const auto read = [&](std::int64_t max_rows) {
    std::vector<std::size_t> labels;
    for (const auto& row : read_questions({{folder.path().string()}, max_rows}, false)) {
      labels.push_back(row.label);
    }
    return labels;
  };
  EXPECT_EQ(read(3), (std::vector<std::size_t>{0, 1, 1}));
  EXPECT_EQ(read(1), (std::vector<std::size_t>{0}));
  const std::string message = message_of<FormatError>([&] { read(0); });
  EXPECT_NE(message.find("b.jsonl:2: `label` is 7"), std::string::npos) << message;
}

TEST(ReadQuestions, NoRowIsAnError) {
  const testing::TempFolder folder;
  const std::string path = testing::write_lines(folder / "a.jsonl", {});
  EXPECT_EQ(message_of<InputError>([&] { read_questions({{path}}, false); }),
            path + ": holds no row");
  EXPECT_THROW(read_pairs({{(folder / "none.jsonl").string()}}), InputError);
}

TEST(ReadQuestions, TheFirstRowTellsQuestionsFromPairs) {
  const testing::TempFolder folder;
  const std::string pairs = testing::write_lines(
      folder / "p.jsonl", {R"({"stereotype": "A.", "antistereotype": "B.", "bias_type": "age"})"});
  const std::string questions = testing::write_lines(folder / "q.jsonl", {question_of(0), "{"});
  EXPECT_FALSE(holds_questions({{pairs}}));
  EXPECT_TRUE(holds_questions({{questions}}));
  EXPECT_EQ(read_pairs({{pairs}}).size(), 1u);
}

TEST(ReadQuestions, EveryQuestionOfBbqHasADirection) {
  const auto shared = testing::shared_folder();
  if (!shared) GTEST_SKIP() << "no shared data";
  const auto rows = read_questions({{(*shared / "data/bbq/eval.jsonl").string()}}, true);
  EXPECT_EQ(rows.size(), 600u);
  for (const auto& row : rows) {
    EXPECT_TRUE(row.bias->has_direction()) << row.source;
    if (row.bias->ambiguous) {
      EXPECT_EQ(row.bias->roles[row.label], ChoiceRole::kUnknown) << row.source;
    }
  }
}

}  // namespace
}  // namespace distill::data
