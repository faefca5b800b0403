#include <distill/generation/augment.h>

#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include <distill/core/interrupted.h>
#include <distill/core/paths.h>
#include <distill/io/jsonl.h>

#include "support/jsonl_file.h"
#include "support/puppet_generator.h"
#include "support/recording_logger.h"
#include "support/temp_folder.h"

namespace distill::generation {
namespace {

using testing::message_of;
using Puppet = testing::PuppetGenerator;

class AugmentTest : public ::testing::Test {
 protected:
  AugmentTest() {
    options_.out = folder_ / "out.jsonl";
    options_.prompt = "{from}>{to}:{text}";
  }

  AugmentResult run(const std::vector<std::string>& lines, Puppet& puppet) {
    options_.data = testing::write_lines(folder_ / "in.jsonl", lines);
    return augment(options_, puppet, log_);
  }
  std::vector<std::string> written() const {
    std::ifstream in(options_.out);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  /// The rows without where they come from.
  std::vector<std::string> rows() const {
    std::vector<std::string> rows;
    for (const auto& line : written()) {
      rows.push_back(line.substr(0, line.find(",\"augmentation\":")) + "}");
    }
    return rows;
  }

  testing::TempFolder folder_;
  testing::RecordingLogger log_;
  AugmentOptions options_;
  /// The text twice over: never the same, never too long.
  Puppet other_words_{[](const std::string& prompt) {
    const std::string text = prompt.substr(prompt.find(':') + 1);
    return prompt.starts_with("German") ? "back " + text : text;
  }};
};

TEST_F(AugmentTest, TextsGoThereAndBackAndAllElseStays) {
  const auto result =
      run({R"({"id": 7, "text": "some words", "label": [1, 2.5, null, true]})"}, other_words_);
  EXPECT_EQ(other_words_.asked,
            (std::vector<std::string>{"English>German:some words", "German>English:some words"}));
  EXPECT_EQ(rows(), std::vector<std::string>{
                        R"({"id":7,"text":"back some words","label":[1,2.5,null,true]})"});
  EXPECT_EQ(result.rows, 1);
  EXPECT_EQ(result.written, 1);
}

TEST_F(AugmentTest, SaysWhereARowComesFrom) {
  options_.seed = 99;
  run({R"({"text": "some words"})"}, other_words_);
  io::JsonlReader reader(options_.out);
  const auto row = reader.next();
  const io::JsonCursor from = io::JsonCursor(row->value, "out").at("augmentation");
  EXPECT_EQ(from.at("kind").as_string(), "back_translation");
  EXPECT_EQ(from.at("source").as_string(), options_.data.string() + ":1");
  EXPECT_EQ(from.at("line").as_int(), 1);
  EXPECT_EQ(from.at("language").as_string(), "English");
  EXPECT_EQ(from.at("via").as_string(), "German");
  EXPECT_EQ(from.at("model").as_string(), "puppet");
  EXPECT_EQ(from.at("model_hash").as_string(), "0123");
  EXPECT_EQ(from.at("seed").as_int(), 99);
}

TEST_F(AugmentTest, WhatIsRewrittenFollowsTheFormOfTheRow) {
  run({R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"question"},{"role":"assistant","content":"answer"},{"role":"user","content":"second"},{"role":"assistant","content":"b"}]})",
       R"({"conversations":[{"from":"human","value":"third"},{"from":"gpt","value":"answer"}]})",
       R"({"prompt":"fourth","completion":"answer"})",
       R"({"instruction":"fifths","input":"sixths","output":"answer"})"},
      other_words_);
  EXPECT_EQ(
      rows(),
      (std::vector<std::string>{
          R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"back question"},{"role":"assistant","content":"answer"},{"role":"user","content":"back second"},{"role":"assistant","content":"b"}]})",
          R"({"conversations":[{"from":"human","value":"back third"},{"from":"gpt","value":"answer"}]})",
          R"({"prompt":"back fourth","completion":"answer"})",
          R"({"instruction":"back fifths","input":"back sixths","output":"answer"})"}));
}

TEST_F(AugmentTest, FieldsCanBeNamed) {
  options_.fields = {"context"};
  run({R"({"context": "some words", "choices": ["a", "b"], "label": 1})"}, other_words_);
  EXPECT_EQ(rows(), std::vector<std::string>{
                        R"({"context":"back some words","choices":["a","b"],"label":1})"});
  options_.out = folder_ / "other.jsonl";
  options_.fields = {"label"};
  EXPECT_NE(message_of<FormatError>([&] {
              run({R"({"label": 1})"}, other_words_);
            }).find(":1: `label` must be a string, it is an integer"),
            std::string::npos);
}

TEST_F(AugmentTest, DropsWhatWasSaidAlready) {
  Puppet constant([](const std::string&) { return "ALWAYS  the same words"; });
  const auto result = run({R"({"text": "some text to read"})", R"({"text": "another text here"})",
                           R"({"text": "always the same words"})"},
                          constant);
  EXPECT_EQ(result.written, 0) << "an original in other letters and blanks";
  EXPECT_EQ(result.duplicates, 3);
  EXPECT_TRUE(log_.has("empty, no new row was good enough"));
  options_.out = folder_ / "second.jsonl";
  const auto twice =
      run({R"({"text": "some text to read it"})", R"({"text": "another text here"})"}, constant);
  EXPECT_EQ(twice.written, 1);
  EXPECT_EQ(twice.duplicates, 1);
}

TEST_F(AugmentTest, DropsWhatDiffersTooMuchInLength) {
  std::string answer;
  Puppet puppet([&](const std::string&) { return answer; });
  const auto written_for = [&](const std::string& text) {
    answer = text;
    options_.out = folder_ / (core::concat(text.size(), ".jsonl"));
    return run({"{\"text\": \"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}"}, puppet)
        .written;  // 4 characters
  };
  EXPECT_EQ(written_for(""), 0);
  EXPECT_EQ(written_for("a"), 0);
  EXPECT_EQ(written_for("ab"), 1);
  EXPECT_EQ(written_for("abcdefgh"), 1);
  EXPECT_EQ(written_for("abcdefghi"), 0);
}

TEST_F(AugmentTest, CountsWhatTheModelCannotRead) {
  Puppet deaf([](const std::string&) { return std::nullopt; });
  const auto result = run({R"({"text": "a"})"}, deaf);
  EXPECT_EQ(result.too_long, 1);
  EXPECT_EQ(result.written, 0);
}

TEST_F(AugmentTest, EveryCallHasASeedOfItsOwnAndRunsAreAlike) {
  options_.copies = 2;
  options_.rows_at_once = 1;
  const std::vector<std::string> lines = {R"({"text": "one two"})", R"({"text": "three"})"};
  run(lines, other_words_);
  EXPECT_EQ(std::set<std::uint64_t>(other_words_.seeds.begin(), other_words_.seeds.end()).size(),
            8u);
  const auto before = other_words_.seeds;
  other_words_.seeds.clear();
  options_.out = folder_ / "again.jsonl";
  run(lines, other_words_);
  EXPECT_EQ(other_words_.seeds, before);
}

TEST_F(AugmentTest, BracesInATextAreNotFilledIn) {
  Puppet puppet(
      [](const std::string& prompt) { return prompt.substr(prompt.find(':') + 1) + "!"; });
  run({R"({"text": "a {text} {from} {to}"})"}, puppet);
  EXPECT_EQ(puppet.asked[0], "English>German:a {text} {from} {to}");
}

TEST_F(AugmentTest, RefusesWhatMakesNoSenseAndOverwritesNothing) {
  const auto refusal = [&](const std::string& line) {
    return message_of<InputError>([&] { run({line}, other_words_); });
  };
  const std::string good = R"({"text": "a"})";
  EXPECT_NE(refusal(R"({"text": "a", "augmentation": {}})").find(":1: holds `augmentation`"),
            std::string::npos);
  EXPECT_NE(refusal("{").find(":1:2: "), std::string::npos);
  EXPECT_NE(refusal(R"({"prompt": "", "completion": "a"})").find("holds no text to say"),
            std::string::npos);
  EXPECT_FALSE(core::path_exists(options_.out)) << "nothing half-done is left";
  EXPECT_EQ(core::list_folder(folder_.path()).size(), 1u);
  options_.prompt = "no place";
  EXPECT_NE(refusal(good).find("write {text} into it"), std::string::npos);
  options_.prompt = "{text}";
  options_.min_length = 3;
  EXPECT_NE(refusal(good).find("must be a range"), std::string::npos);
  options_.min_length = 0;
  testing::write_lines(options_.out, {"precious"});
  EXPECT_NE(refusal(good).find("exists; name another file"), std::string::npos);
  EXPECT_EQ(written(), std::vector<std::string>{"precious"});
}

/// Rows that say something, and some that are left out: a copy, an empty answer.
std::vector<std::string> many_rows() {
  std::vector<std::string> lines;
  for (int i = 0; i < 11; ++i) {
    lines.push_back("{\"text\": \"text number " + std::to_string(i % 9) + "\"}");
  }
  lines.push_back(R"({"text": "nothing"})");
  return lines;
}

Puppet answering_by_seed(const Puppet*& self) {
  return Puppet([&self](const std::string& prompt) -> std::optional<std::string> {
    if (prompt.ends_with("nothing")) return "";
    return prompt.substr(prompt.find(':') + 1) + " " + std::to_string(self->seeds.back() % 3);
  });
}

TEST_F(AugmentTest, StoppedAnywhereItGoesOnToTheSameBytes) {
  options_.copies = 2;
  options_.rows_at_once = 3;
  const Puppet* self = nullptr;
  Puppet straight = answering_by_seed(self);
  self = &straight;
  const auto expected = run(many_rows(), straight);
  const auto bytes = written();
  ASSERT_GT(expected.written, 5);
  ASSERT_GT(expected.duplicates, 0);
  for (std::int64_t calls = 0; calls < std::ssize(straight.seeds); ++calls) {
    options_.out = folder_ / core::concat("stopped_", calls, ".jsonl");
    Puppet first = answering_by_seed(self);
    self = &first;
    first.breaks_at = calls;
    EXPECT_THROW(run(many_rows(), first), TeacherError);
    EXPECT_FALSE(core::path_exists(options_.out));
    Puppet second = answering_by_seed(self);
    self = &second;
    const auto result = run(many_rows(), second);
    EXPECT_EQ(written(), bytes) << "after " << calls << " calls";
    EXPECT_EQ(result.rows, expected.rows);
    EXPECT_EQ(result.written, expected.written);
    EXPECT_EQ(result.duplicates, expected.duplicates);
    EXPECT_EQ(result.wrong_length, expected.wrong_length);
    // 2 copies there and back for each part: what was done before is not done again.
    EXPECT_EQ(second.seeds.size(), straight.seeds.size() - static_cast<std::size_t>(calls / 4 * 4));
  }
  EXPECT_TRUE(log_.has("rows are done and kept; the same command goes on from there"));
  EXPECT_TRUE(log_.has("going on after 9 rows"));
}

TEST_F(AugmentTest, GoesOnOnlyWithTheSameOptionsModelAndData) {
  options_.rows_at_once = 3;
  const auto stop = [&] {
    Puppet puppet = other_words_;
    puppet.breaks_at = 2;
    EXPECT_THROW(run(many_rows(), puppet), TeacherError);
  };
  stop();
  const auto refusal = [&](const std::vector<std::string>& lines, Puppet puppet) {
    return message_of<InputError>([&] { run(lines, puppet); });
  };
  auto lines = many_rows();
  lines.push_back(R"({"text": "one more"})");
  EXPECT_NE(refusal(lines, other_words_).find("was begun with something else: `data's hash` was "),
            std::string::npos);
  Puppet sad = other_words_;
  sad.mood = "bad";
  EXPECT_NE(refusal(many_rows(), sad).find("`mood` was good and is bad"), std::string::npos);
  options_.seed = 18;
  EXPECT_NE(refusal(many_rows(), other_words_)
                .find("`seed` was 17 and is 18; give the same again, "
                      "or add --restart"),
            std::string::npos);
  options_.restart = true;
  EXPECT_EQ(run(many_rows(), other_words_).rows, 12);
}

TEST_F(AugmentTest, StopsBetweenPartsWhenAsked) {
  options_.rows_at_once = 3;
  core::StopFlag stop;
  options_.stop = &stop;
  int answered = 0;
  Puppet puppet([&](const std::string& prompt) {
    if (++answered == 4) stop.request(15);
    return prompt.substr(prompt.find(':') + 1) + "!";
  });
  EXPECT_EQ(message_of<Interrupted>([&] { run(many_rows(), puppet); }), "stopped by signal 15");
  EXPECT_TRUE(log_.has("out.jsonl: 3 rows are done and kept"));
  options_.stop = nullptr;
  EXPECT_EQ(run(many_rows(), puppet).rows, 12);
}

TEST_F(AugmentTest, AnswersThatWereCutOffAreNoNewRows) {
  other_words_.cuts_off = true;
  const auto result = run({R"({"text": "some words"})"}, other_words_);
  EXPECT_EQ(other_words_.asked.size(), 1u);  // half a text is not brought back
  EXPECT_EQ(result.written, 0);
  EXPECT_EQ(result.cut_off, 1);
  EXPECT_TRUE(log_.has("1 rows are left out: an answer was cut off before its end"));
}

TEST_F(AugmentTest, EveryPlaceForTheTextIsFilledAndTheTextItselfIsNotLookedInto) {
  options_.prompt = "{text}|{text}:{text}";
  run({R"({"text": "a {text} b"})"}, other_words_);
  EXPECT_EQ(other_words_.asked.front(), "a {text} b|a {text} b:a {text} b");
}

TEST(AugmentResult, IsPrintedInBothForms) {
  std::ostringstream words;
  std::ostringstream json;
  const AugmentResult result{12, 6, 2, 1, 1, 2};
  print_result(result, false, words);
  print_result(result, true, json);
  EXPECT_EQ(
      words.str(),
      "6 new rows from 12; left out: 2 said already, 1 of another length, 2 cut off, 1 too long "
      "for the model\n");
  EXPECT_EQ(json.str(),
            "{\"rows\":12,\"written\":6,\"duplicates\":2,\"wrong_length\":1,\"too_long\":1,"
            "\"cut_off\":2}\n");
}

}  // namespace
}  // namespace distill::generation
