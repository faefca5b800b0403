#include <distill/generation/generate_data.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>

#include <distill/core/interrupted.h>
#include <distill/core/paths.h>
#include <distill/data/document_row.h>
#include <distill/io/jsonl.h>
#include <distill/models/load.h>
#include <distill/models/logits.h>
#include <distill/text/tokenizer.h>

#include "generation/answer_filters.h"
#include "support/jsonl_file.h"
#include "support/puppet_generator.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::generation {
namespace {

using testing::message_of;
using Puppet = testing::PuppetGenerator;

/// The longer, the less likely.
class FakeJudge : public AnswerJudge {
 public:
  double mean_log_prob(const Conversation& chat, const std::string& answer) override {
    EXPECT_EQ(chat.back().role, "user");
    return -0.1 * static_cast<double>(answer.size());
  }
  std::string name() const override { return "judge"; }
  std::string hash() const override { return "4567"; }
};

std::string prompt(const std::string& text) {
  return R"({"prompt": ")" + text + R"("})";
}

class GenerateDataTest : public ::testing::Test {
 protected:
  GenerateDataTest() { options_.out = folder_ / "out.jsonl"; }

  GenerateDataResult run(const std::vector<std::string>& lines, Puppet& puppet,
                         AnswerJudge* judge = nullptr) {
    options_.prompts = testing::write_lines(folder_ / "in.jsonl", lines);
    return generate_data(options_, puppet, judge, log_);
  }
  std::string text() const {
    std::ifstream in(options_.out);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
  }
  /// What was asked and what was answered.
  std::vector<std::pair<std::string, std::string>> pairs() const {
    std::vector<std::pair<std::string, std::string>> pairs;
    io::JsonlReader reader(options_.out);
    while (const auto row = reader.next()) {
      const auto messages = *data::parse_document_row(*row).messages();
      pairs.emplace_back(messages.at(messages.size() - 2).content, messages.back().content);
    }
    return pairs;
  }

  testing::TempFolder folder_;
  testing::RecordingLogger log_;
  GenerateDataOptions options_;
  Puppet echo_{[](const std::string& prompt) { return "you said " + prompt; }};
};

TEST_F(GenerateDataTest, PromptsAndConversationsBecomeTrainingRows) {
  const auto result =
      run({prompt("hello"),
           R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},)"
           R"({"role":"assistant","content":"old"}]})",
           R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
           R"({"role":"user","content":"c"}]})",
           R"({"conversations":[{"from":"human","value":"h"},{"from":"gpt","value":"g"}]})",
           R"({"instruction":"do","output":"done"})", R"({"prompt":"p","completion":"old"})"},
          echo_);
  EXPECT_EQ(result.rows, 6);
  EXPECT_EQ(result.written, 6);
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(pairs(), (std::vector<Pair>{{"hello", "you said hello"},
                                        {"u", "you said u"},
                                        {"c", "you said c"},
                                        {"h", "you said h"},
                                        {"do", "you said do"},
                                        {"p", "you said p"}}));
  ASSERT_EQ(echo_.conversations.size(), 6u);
  EXPECT_EQ(echo_.conversations[1].size(), 2u);
  EXPECT_EQ(echo_.conversations[1][0].role, "system");
  EXPECT_EQ(echo_.conversations[2].size(), 3u);
  EXPECT_EQ(text().find("old"), std::string::npos) << "answers that were there are replaced";
}

TEST_F(GenerateDataTest, SaysWhereARowComesFrom) {
  options_.seed = 99;
  FakeJudge judge;
  run({prompt("hi")}, echo_, &judge);
  io::JsonlReader reader(options_.out);
  const auto row = *reader.next();
  const auto from = io::JsonCursor(row.value, row.source).at("generation");
  EXPECT_EQ(from.at("source").as_string(), (folder_ / "in.jsonl").string() + ":1");
  EXPECT_EQ(from.at("line").as_int(), 1);
  EXPECT_EQ(from.at("sample").as_int(), 0);
  EXPECT_EQ(from.at("model").as_string(), "puppet");
  EXPECT_EQ(from.at("model_hash").as_string(), "0123");
  EXPECT_EQ(from.at("seed").as_int(), 99);
  EXPECT_EQ(from.at("mood").as_string(), "good") << "how it was sampled";
  EXPECT_EQ(from.at("tokens").as_int(), 3);
  EXPECT_NEAR(from.at("mean_log_prob").as_double(), -1.1, 1e-12);
  EXPECT_EQ(from.at("judge").as_string(), "judge");
}

TEST_F(GenerateDataTest, SeveralSamplesDrawAnewAndTheSameAnswerIsWrittenOnce) {
  options_.samples = 3;
  int calls = 0;
  Puppet puppet([&](const std::string& text) { return text + (calls++ < 4 ? " One" : " one "); });
  const auto result = run({prompt("a"), prompt("b")}, puppet);
  EXPECT_EQ(result.asked, 6);
  EXPECT_EQ(result.written, 2);
  EXPECT_EQ(result.duplicates, 4);
  EXPECT_EQ(puppet.seeds.size(), 3u);
  EXPECT_EQ(std::set(puppet.seeds.begin(), puppet.seeds.end()).size(), 3u);
}

TEST_F(GenerateDataTest, EveryFilterCountsWhatItLeavesOut) {
  options_.min_tokens = 2;
  options_.max_tokens = 30;
  options_.max_repetition = 0.3;
  options_.answer_regex = "^Answer: \\d+";
  options_.min_likelihood = -3.0;
  const std::string many =
      "Answer: 1 a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5";
  const std::string again = "Answer: 1 a b c d a b c d a b c d a b c d";
  std::map<std::string, std::optional<std::string>> answers = {
      {"good", "Answer: 12"},
      {"long prompt", std::nullopt},
      {"empty", ""},
      {"short", "Answer:"},
      {"many", many},
      {"again", again},
      {"other", "It is 12"},
      {"unlikely", "Answer: 12 because of all the things I know"},
      {"good too", "Answer: 13"}};
  Puppet puppet([&](const std::string& text) { return answers.at(text); });
  std::vector<std::string> lines;
  for (const auto& [name, answer] : answers) lines.push_back(prompt(name));
  FakeJudge judge;
  const auto result = run(lines, puppet, &judge);
  EXPECT_EQ(result.rows, 9);
  EXPECT_EQ(result.asked, 9);
  EXPECT_EQ(result.written, 2);
  EXPECT_EQ(result.too_long, 1);
  EXPECT_EQ(result.empty, 1);
  EXPECT_EQ(result.wrong_length, 2);
  EXPECT_EQ(result.repetitive, 1);
  EXPECT_EQ(result.no_match, 1);
  EXPECT_EQ(result.unlikely, 1);
  std::ostringstream table, json;
  print_result(result, false, table);
  EXPECT_NE(table.str().find("of another length   2\n"), std::string::npos) << table.str();
  print_result(result, true, json);
  EXPECT_EQ(
      json.str(),
      R"({"rows":9,"asked":9,"written":2,"too_long":1,"cut_off":0,"other_end":0,"empty":1,)"
      R"("wrong_length":2,"repetitive":1,"no_match":1,"pattern_limit":0,"unlikely":1,"duplicates":0})"
      "\n");
}

TEST_F(GenerateDataTest, AnAnswerThatWasCutOffIsLeftOutAndSaid) {
  echo_.cuts_off = true;
  EXPECT_EQ(run({prompt("a")}, echo_).cut_off, 1);
  EXPECT_TRUE(log_.has("--max-new-tokens"));
  EXPECT_TRUE(log_.has("empty, no answer was good enough"));
}

TEST_F(GenerateDataTest, AnAnswerThatTheServerEndedIsNoMatterOfLength) {
  echo_.ends_otherwise = true;
  const auto result = run({prompt("a")}, echo_);
  EXPECT_EQ(result.other_end, 1);
  EXPECT_EQ(result.cut_off, 0);
  EXPECT_FALSE(log_.has("--max-new-tokens"));
  EXPECT_TRUE(log_.has("such as a filter"));
}

TEST_F(GenerateDataTest, APromptThatDoesNotFitIsToldWithWhatToDo) {
  Puppet puppet([](const std::string&) { return std::nullopt; });
  EXPECT_EQ(run({prompt("a")}, puppet).too_long, 1);
  EXPECT_TRUE(log_.has("allow fewer, or shorten the prompt"));
}

TEST_F(GenerateDataTest, APatternThatTakesTooLongLeavesOutThatAnswerAlone) {
  options_.answer_regex = "^(a+)+$";
  Puppet puppet([](const std::string& text) {
    return text == "long" ? std::string(60, 'a') + "b" : std::string("aaa");
  });
  const auto result = run({prompt("x"), prompt("long"), prompt("y")}, puppet);
  EXPECT_EQ(result.pattern_limit, 1);
  EXPECT_EQ(result.written, 2);
  EXPECT_TRUE(log_.has("write a simpler pattern"));
}

TEST_F(GenerateDataTest, SamplesWithoutChanceAreWarnedOf) {
  echo_.has_temperature = false;
  run({prompt("a")}, echo_);
  EXPECT_FALSE(log_.has("at temperature 0"));
  std::filesystem::remove(options_.out);
  options_.samples = 3;
  EXPECT_EQ(run({prompt("a")}, echo_).written, 1);
  EXPECT_TRUE(log_.has("at temperature 0 all 3 answers to a prompt are the same"));
}

TEST_F(GenerateDataTest, OtherMembersOfARowAreKept) {
  run({R"({"id":"p/1","prompt":"a","completion":"old","label":"maths","meta":{"n":[1,2.5,null]}})",
       R"({"instruction":"do","input":"it","output":"old","system":"s","label":7})",
       R"({"label":"x","conversations":[{"from":"human","value":"h"}],"generation":{"seed":1}})"},
      echo_);
  const std::string all = text();
  EXPECT_NE(all.find(R"("id":"p/1","label":"maths","meta":{"n":[1,2.5,null]},"generation")"),
            std::string::npos)
      << all;
  EXPECT_NE(all.find(R"("}],"label":7,"generation")"), std::string::npos) << all;
  EXPECT_NE(all.find(R"("}],"label":"x","generation":{"source")"), std::string::npos) << all;
  EXPECT_EQ(all.find("old"), std::string::npos) << all;
  EXPECT_EQ(all.find("\"system\":"), std::string::npos) << "it is a turn already: " << all;
}

TEST_F(GenerateDataTest, WithoutATemplateARowIsThePromptAndHowItGoesOn) {
  Puppet puppet([](const std::string& text) { return " and " + text + " "; });
  puppet.goes_on = true;
  options_.rows_at_once = 1;
  puppet.breaks_at = 1;
  const std::vector<std::string> lines = {R"({"prompt":"one","label":"l"})", prompt("two")};
  EXPECT_THROW(run(lines, puppet), TeacherError);
  puppet.breaks_at = 100;
  EXPECT_EQ(run(lines, puppet).written, 2) << "rows of an earlier call are read again";
  io::JsonlReader reader(options_.out);
  const auto row = *reader.next();
  const auto document = data::parse_document_row(row);
  ASSERT_EQ(document.form, data::RowForm::kPrompt);
  const io::JsonCursor cursor(row.value, row.source);
  EXPECT_EQ(cursor.at("prompt").as_string(), "one");
  EXPECT_EQ(cursor.at("completion").as_string(), " and one ");
  EXPECT_EQ(cursor.at("label").as_string(), "l");
}

TEST_F(GenerateDataTest, AStopIsHeardBetweenAnswers) {
  core::StopFlag stop;
  options_.stop = &stop;
  options_.rows_at_once = 2;
  int answered = 0;
  Puppet puppet([&](const std::string& text) {
    if (++answered == 3) stop.request(2);
    return text;
  });
  const std::vector<std::string> lines = {prompt("a"), prompt("b"), prompt("c"), prompt("d")};
  EXPECT_THROW(run(lines, puppet), Interrupted);
  EXPECT_TRUE(log_.has("2 rows are done and kept"));
  stop.request(0);
  EXPECT_EQ(run(lines, puppet).written, 4);
}

TEST_F(GenerateDataTest, GoesOnToTheSameBytes) {
  options_.rows_at_once = 2;
  options_.samples = 2;
  std::vector<std::string> lines;
  for (int i = 0; i < 9; ++i) lines.push_back(prompt("p" + std::to_string(i / 2)));
  const auto whole = run(lines, echo_);
  const std::string expected = text();
  for (std::int64_t breaks_at = 0; breaks_at < 10; ++breaks_at) {
    std::filesystem::remove(options_.out);
    Puppet puppet([](const std::string& prompt) { return "you said " + prompt; });
    puppet.breaks_at = breaks_at;
    EXPECT_THROW(run(lines, puppet), TeacherError);
    EXPECT_FALSE(core::path_exists(options_.out));
    Puppet next([](const std::string& prompt) { return "you said " + prompt; });
    const auto result = run(lines, next);
    EXPECT_EQ(text(), expected) << breaks_at;
    EXPECT_EQ(result.written, whole.written);
    EXPECT_EQ(result.duplicates, whole.duplicates);
    EXPECT_EQ(next.seeds.size(), static_cast<std::size_t>(10 - breaks_at / 2 * 2));
  }
}

TEST_F(GenerateDataTest, OtherOptionsAreRefusedUntilItBeginsAnew) {
  options_.rows_at_once = 1;
  echo_.breaks_at = 1;
  EXPECT_THROW(run({prompt("a"), prompt("b")}, echo_), TeacherError);
  echo_.breaks_at = 100;
  options_.min_likelihood = -2;
  const auto message = message_of<InputError>([&] { run({prompt("a"), prompt("b")}, echo_); });
  EXPECT_NE(message.find("`min likelihood` was none and is -2"), std::string::npos) << message;
}

TEST_F(GenerateDataTest, AServerMayMoveBetweenTwoParts) {
  options_.rows_at_once = 1;
  echo_.address = "home";
  echo_.breaks_at = 1;
  EXPECT_THROW(run({prompt("a"), prompt("b")}, echo_), TeacherError);
  echo_.breaks_at = 100;
  echo_.address = "elsewhere";
  EXPECT_EQ(run({prompt("a"), prompt("b")}, echo_).written, 2);
  EXPECT_EQ(echo_.asked, (std::vector<std::string>{"a", "b"}));  // each once
  // Where a row comes from is told all the same.
  EXPECT_NE(text().find("puppet at home"), std::string::npos);
  EXPECT_NE(text().find("puppet at elsewhere"), std::string::npos);
}

TEST_F(GenerateDataTest, NoMorePromptsAreReadThanWanted) {
  options_.most_prompts = 3;
  options_.rows_at_once = 2;
  options_.samples = 2;
  const auto result = run({prompt("a"), prompt("b"), prompt("c"), prompt("d")}, echo_);
  EXPECT_EQ(result.rows, 3);
  EXPECT_EQ(result.asked, 6);
  EXPECT_EQ(pairs().back().first, "c");
}

TEST_F(GenerateDataTest, PromptsAreCountedAndReadUntilStopped) {
  const auto file =
      testing::write_lines(folder_ / "in.jsonl", {prompt("a"), prompt("b"), prompt("c")});
  std::int64_t calls = 0;
  EXPECT_EQ(count_prompts(file, [&] { ++calls; }), 3);
  EXPECT_EQ(calls, 3);
  EXPECT_THROW(count_prompts(file, [] { throw Interrupted("stopped"); }), Interrupted);
  testing::write_lines(folder_ / "in.jsonl", {prompt("a"), R"({"text": "no question"})"});
  EXPECT_NE(message_of<FormatError>([&] { count_prompts(file); }).find("in.jsonl:2"),
            std::string::npos);
}

TEST_F(GenerateDataTest, BadRowsAreFoundBeforeWorkBegins) {
  const auto refused = [&](const std::string& line) {
    const auto message = message_of<FormatError>([&] { run({prompt("a"), line}, echo_); });
    EXPECT_NE(message.find("in.jsonl:2"), std::string::npos) << message;
    EXPECT_TRUE(echo_.asked.empty());
    return message;
  };
  EXPECT_NE(refused(R"({"text":"a"})").find("is a text"), std::string::npos);
  EXPECT_NE(refused(R"({"prompt":" "})").find("is empty"), std::string::npos);
  EXPECT_NE(refused(R"({"messages":[{"role":"system","content":"s"}]})").find("no turn"),
            std::string::npos);
  EXPECT_NE(refused(R"({"prompt":"p","tools":[{"name":"f"}]})").find("is not read"),
            std::string::npos);
  refused(R"({"prompt":7})");
  refused(R"({})");
  EXPECT_THROW(run({}, echo_), InputError);
}

TEST_F(GenerateDataTest, OptionsThatMakeNoSenseAreRefused) {
  const auto refused = [&](const std::function<void(GenerateDataOptions&)>& change) {
    const GenerateDataOptions before = options_;
    change(options_);
    const auto message = message_of<InputError>([&] { run({prompt("a")}, echo_); });
    options_ = before;
    return message;
  };
  EXPECT_NE(refused([](auto& o) { o.samples = 0; }).find("at least 1"), std::string::npos);
  EXPECT_NE(refused([](auto& o) {
              o.min_tokens = 5;
              o.max_tokens = 4;
            }).find("5 to 4"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.max_repetition = 2; }).find("0 to 1"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.min_likelihood = 0.5; }).find("0 at most"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.answer_regex = "("; }).find("--answer-regex: `(` is no"),
            std::string::npos);
  echo_.says_tokens = false;
  EXPECT_NE(refused([](auto& o) { o.min_tokens = 1; }).find("does not say how many tokens"),
            std::string::npos);
}

TEST(Repetition, IsTheShareOfRunsThatWereThereBefore) {
  EXPECT_EQ(repetition(""), 0);
  EXPECT_EQ(repetition("one two three four five six seven eight nine"), 0);
  // 9 runs of four words, the 5 of them after the first four known.
  EXPECT_NEAR(repetition("a b c d a b c d a b c d"), 5.0 / 9, 1e-12);
  std::string chinese;
  for (int i = 0; i < 40; ++i) chinese += "\xe5\xa4\xa9\xe6\xb0\x94";
  EXPECT_GT(repetition(chinese), 0.9) << "written without blanks";
}

TEST(AnswerJudge, IsTheMeanOverTheAnswersTokens) {
  const auto folder = std::filesystem::path(DISTILL_SOURCE_DIR) / "tests/reference/tiny_llama";
  const auto judge =
      make_local_judge({.model = folder, .chat_template = "none", .dtype = c10::ScalarType::Float});
  const std::string question = "A teacher counts", answer = " 12 sacks of flour";
  const auto tokenizer = text::load_tokenizer(folder);
  const auto model = models::load_causal_lm(folder, {.dtype = c10::ScalarType::Float});
  const auto before = tokenizer->encode(question, true);
  const auto ids = tokenizer->encode(question + answer, true);
  ASSERT_TRUE(std::equal(before.begin(), before.end(), ids.begin()));
  const auto output = model->forward(types::single_sequence(at::tensor(ids)));
  const at::Tensor log_probs = at::log_softmax(models::logits(output, output.hidden), 1);
  double sum = 0;
  for (std::size_t t = before.size(); t < ids.size(); ++t) {
    sum += log_probs[static_cast<std::int64_t>(t) - 1][ids[t]].item<double>();
  }
  const double expected = sum / static_cast<double>(ids.size() - before.size());
  EXPECT_NEAR(judge->mean_log_prob({{"user", question}}, answer), expected, 1e-5);
  EXPECT_EQ(judge->mean_log_prob({{"user", question}}, std::string(5000, 'x')),
            -std::numeric_limits<double>::infinity())
      << "longer than the model reads";
  EXPECT_THROW(judge->mean_log_prob({{"system", "s"}, {"user", question}}, answer), InputError);
}

}  // namespace
}  // namespace distill::generation
