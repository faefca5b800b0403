#include "teachers/openai_json.h"

#include <gtest/gtest.h>

#include <distill/core/random.h>
#include <distill/core/strings.h>

#include "support/temp_folder.h"

namespace distill::teachers::detail {
namespace {

using testing::message_of;

const std::string kUrl = "http://host/v1/completions";

Completion parse(const std::string& text, const Expected& expected = {kUrl, "m"}) {
  return parse_completion(text, expected);
}

/// An answer of one choice with these members.
std::string answer(const std::string& choice) {
  return R"({"id":"x","model":"m","choices":[{"index":0,)" + choice + "}],\"usage\":{}}";
}

std::string refusal(const std::string& text, const Expected& expected = {kUrl, "m"}) {
  const auto message = message_of<TeacherError>([&] { parse(text, expected); });
  EXPECT_TRUE(message.starts_with(kUrl)) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_LT(message.size(), 400u);
  return message;
}

TEST(OpenAiJson, WritesCompletionsAndConversations) {
  CompletionRequest text{.prompt = "a \"b\"\n"};
  text.answer = {.max_tokens = 7, .temperature = 0.5, .top_p = 0.9, .seed = 3, .stop = {"\n"}};
  EXPECT_EQ(completion_json("m", text),
            R"({"model":"m","prompt":"a \"b\"\n","max_tokens":7,"temperature":0.5,"top_p":0.9,)"
            R"("seed":3,"stop":["\n"]})");
  const CompletionRequest ids{.prompt = std::vector<std::int64_t>{1, 22},
                              .answer = {.max_tokens = 1},
                              .prompt_log_probs = 64};
  EXPECT_EQ(completion_json("m", ids),
            R"({"model":"m","prompt":[1,22],"max_tokens":1,"temperature":0,"top_p":1,)"
            R"("prompt_logprobs":64})");
  const ChatRequest chat{.messages = {{"system", "s"}, {"user", "u"}},
                         .answer = {.max_tokens = 2, .num_answers = 3}};
  EXPECT_EQ(chat_json("m", chat),
            R"({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user",)"
            R"("content":"u"}],"max_tokens":2,"temperature":0,"top_p":1,"n":3})");
}

TEST(OpenAiJson, ReadsTextsAndWhyTheyEnd) {
  const auto stopped = parse(answer(R"("text":" hi \n","finish_reason":"stop")"));
  ASSERT_EQ(stopped.answers.size(), 1u);
  EXPECT_EQ(stopped.answers[0].text, " hi \n");
  EXPECT_EQ(stopped.answers[0].finish, FinishReason::kStop);
  const auto finish_of = [](const std::string& name) {
    return parse(answer(R"("text":"","finish_reason":")" + name + '"')).answers[0].finish;
  };
  EXPECT_EQ(finish_of("length"), FinishReason::kLength);
  EXPECT_EQ(finish_of("content_filter"), FinishReason::kOther);
  const Expected chat{.url = kUrl, .model = "m", .chat = true};
  EXPECT_EQ(
      parse(answer(R"("message":{"role":"assistant","content":"yes"},"finish_reason":"stop")"),
            chat)
          .answers[0]
          .text,
      "yes");
  EXPECT_EQ(
      parse(answer(R"("message":{"content":null},"finish_reason":"length")"), chat).answers[0].text,
      "");
}

TEST(OpenAiJson, PutsSeveralAnswersInOrder) {
  const Expected two{.url = kUrl, .model = "m", .num_answers = 2};
  const auto choice = [](const std::string& index, const std::string& text) {
    return R"({"index":)" + index + R"(,"text":")" + text + R"(","finish_reason":"stop"})";
  };
  const auto all = [](const std::string& a, const std::string& b) {
    return R"({"model":"m","choices":[)" + a + "," + b + "]}";
  };
  const auto read = parse(all(choice("1", "b"), choice("0", "a")), two);
  EXPECT_EQ(read.answers[0].text, "a");
  EXPECT_EQ(read.answers[1].text, "b");
  EXPECT_NE(refusal(all(choice("0", "a"), choice("0", "b")), two).find("index 0 once more"),
            std::string::npos);
  EXPECT_NE(refusal(all(choice("0", "a"), choice("2", "b")), two).find("`choices[1].index`"),
            std::string::npos);
  EXPECT_NE(refusal(all(choice("0", "a"), choice("1", "b"))).find("has 2 answers, expected 1"),
            std::string::npos);
}

TEST(OpenAiJson, AModelMayHaveAVersion) {
  const std::string body = R"(","choices":[{"index":0,"text":"","finish_reason":"stop"}]})";
  EXPECT_EQ(parse("{\"model\":\"m-2026-01-31" + body).answers.size(), 1u);
  EXPECT_NE(refusal("{\"model\":\"mistral" + body).find("`model` is `mistral`, asked was `m`"),
            std::string::npos);
}

TEST(OpenAiJson, AnythingElseIsAnErrorThatShowsHowItBegins) {
  for (const std::string text :
       {"", "<html><body>Bad Gateway</body></html>", "{", "null", "[]", "{}", "\x1f\x8b\x08\xff",
        R"({"model":"m"})", R"({"model":1,"choices":[]})", R"({"model":"m","choices":{}})",
        R"({"model":"m","choices":[]})", R"({"model":"m","choices":[null]})",
        R"({"model":"m","choices":[{}]})"}) {
    const auto message = refusal(text);
    EXPECT_NE(message.find("; the answer begins `" + core::printable(text, 80) + "`"),
              std::string::npos)
        << message;
  }
  for (const std::string choice :
       {R"("text":1,"finish_reason":"stop")", R"("text":null,"finish_reason":"stop")",
        R"("text":"")", R"("text":"","finish_reason":null)", R"("text":"","finish_reason":7)",
        R"("finish_reason":"stop")", R"("text":NaN,"finish_reason":"stop")",
        R"("text":"","text":"","finish_reason":"stop")"}) {
    refusal(answer(choice));
  }
  EXPECT_NE(refusal(answer(R"("text":1,"finish_reason":"stop")"))
                .find("`choices[0].text` must be a string, it is an integer"),
            std::string::npos);
}

class PromptLogProbs : public ::testing::Test {
 protected:
  Completion read(const std::string& positions) const { return parse(body(positions), expected_); }
  std::string refused(const std::string& positions) const {
    return refusal(body(positions), expected_);
  }
  static std::string body(const std::string& positions) {
    return answer(R"("text":"x","finish_reason":"length","prompt_logprobs":)" + positions);
  }

  std::vector<std::int64_t> ids_ = {5, 8};
  Expected expected_{.url = kUrl, .model = "m", .prompt_ids = &ids_, .num_log_probs = 2};
};

TEST_F(PromptLogProbs, AreReadInOrderOfIds) {
  const auto read_two =
      read(R"([null,{"8":{"logprob":-0.5,"rank":1,"decoded_token":"a"},"3":{"logprob":-1.5}}])")
          .prompt.log_probs;
  ASSERT_EQ(read_two.size(), 2u);
  EXPECT_TRUE(read_two[0].empty());
  ASSERT_EQ(read_two[1].size(), 2u);
  EXPECT_EQ(read_two[1][0].id, 3);
  EXPECT_EQ(read_two[1][0].log_prob, -1.5);
  EXPECT_EQ(read_two[1][1].id, 8);
  const auto with_actual =
      read(R"([null,{"8":{"logprob":-9999.0},"3":{"logprob":-0.7},"100":{"logprob":-0.9}}])");
  EXPECT_EQ(with_actual.prompt.log_probs[1].size(), 3u);
  EXPECT_EQ(
      read(R"([null,{"8":{"logprob":1e-7},"3":{"logprob":-40}}])").prompt.log_probs[1][1].log_prob,
      0.0)
      << "rounding";
}

TEST_F(PromptLogProbs, WhatCannotBeIsRefused) {
  const auto expect = [&](const std::string& positions, const std::string& part) {
    const auto message = refused(positions);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const std::string good = R"("3":{"logprob":-1.5})";
  expect("null", "`choices[0].prompt_logprobs` must be an array");
  expect("[null]", "has 1 positions, the prompt has 2");
  expect("[null,null,null]", "has 3 positions");
  expect(R"([{},{"8":{"logprob":-1},)" + good + "}]", "must be null");
  expect("[null,null]", "must be an object");
  expect(R"([null,{"8":{"logprob":-1}}])", "has 1 ids, expected 2 or one more");
  expect(R"([null,{"1":{"logprob":-9},"2":{"logprob":-9},"8":{"logprob":-9},)" + good + "}]",
         "has 4 ids");
  expect(R"([null,{"7":{"logprob":-1},)" + good + "}]", "lacks the prompt's own token 8");
  for (const char* id : {"08", "+8", "-1", "a", "", "8 ", "99999999999", "8.0"}) {
    expect(std::string(R"([null,{")") + id + R"(":{"logprob":-1},)" + good + "}]",
           "expected a token id");
  }
  expect(R"([null,{"8":{"logprob":0.1},)" + good + "}]", "log-probability 0.1, expected at most 0");
  expect(R"([null,{"8":{"logprob":-0.1},"3":{"logprob":-0.2}}])", "probabilities that sum to 1.7");
  expect(R"([null,{"8":{"logprob":NaN},)" + good + "}]", "; the answer begins");
  expect(R"([null,{"8":{"logprob":-1e999},)" + good + "}]", "; the answer begins");
  expect(R"([null,{"8":{"logprob":"-1"},)" + good + "}]", "must be a number");
  expect(R"([null,{"8":{},)" + good + "}]", "logprob");
}

TEST_F(PromptLogProbs, DamagedTextsAreReadOrRefused) {
  const std::string good = body(
      R"([null,{"8":{"logprob":-0.5,"rank":1},"3":{"logprob":-1.5,"decoded_token":"\u00e4"}}])");
  core::RandomState random(31);
  int refused_texts = 0;
  const auto take = [&](const std::string& text) {
    try {
      for (const auto& entry : parse(text, expected_).prompt.log_probs.at(1)) {
        EXPECT_LE(entry.log_prob, 0) << text;
        EXPECT_GE(entry.id, 0) << text;
      }
    } catch (const TeacherError&) {  // anything else fails the test
      ++refused_texts;
    }
  };
  for (std::size_t size = 0; size < good.size(); ++size) take(good.substr(0, size));
  EXPECT_EQ(refused_texts, static_cast<int>(good.size())) << "no beginning of it is an answer";
  const std::string parts[] = {"\"", "{", "}", "[",    "]",     ",",
                               ":",  "-", "9", "null", "1e999", "\xff"};
  for (int trial = 0; trial < 5000; ++trial) {
    std::string text = good;
    const auto at = static_cast<std::size_t>(random.below(text.size()));
    text.replace(at, random.below(3), parts[random.below(std::size(parts))]);
    take(text);
  }
}

TEST(OpenAiJson, ReadsTheNamesOfModels) {
  const auto models = parse_models(
      R"({"object":"list","data":[{"id":"a"},{"id":"b","root":"/x","max_model_len":1024}]})", kUrl);
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].name, "a");
  EXPECT_EQ(models[0].max_tokens, std::nullopt);
  EXPECT_EQ(models[1].name, "b");
  EXPECT_EQ(models[1].max_tokens, 1024);
  for (const char* text : {"[]", "{}", R"({"data":{}})", R"({"data":["a"]})", R"({"data":[{}]})"}) {
    EXPECT_THROW(parse_models(text, kUrl), TeacherError) << text;
  }
}

TEST(OpenAiJson, FindsWhatAServerSaysAboutAnError) {
  EXPECT_EQ(parse_error_message(R"({"error":{"message":"why","code":400}})"), "why");
  EXPECT_EQ(parse_error_message(R"({"object":"error","message":"why"})"), "why");
  EXPECT_EQ(parse_error_message(R"({"detail":"why"})"), "why");
  EXPECT_EQ(parse_error_message(R"({"error":"why"})"), "why");
  for (const char* text : {"", "<html>", "[]", "{}", R"({"error":null})", R"({"error":[1]})",
                           R"({"detail":[{"msg":"x"}]})"}) {
    EXPECT_EQ(parse_error_message(text), "") << text;
  }
}

}  // namespace
}  // namespace distill::teachers::detail
