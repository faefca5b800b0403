#include <distill/io/teacher_wire.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

#include "support/temp_folder.h"

namespace distill::io {
namespace {

using testing::message_of;

TeacherFacts some_facts() {
  TeacherFacts facts;
  facts.model = "models/Teacher";
  facts.weights = std::string(32, 'a');
  facts.tokenizer = std::string(32, '7');
  facts.dtype = "bf16";
  facts.hidden_size = 576;
  facts.vocabulary = 49152;
  facts.max_positions = 8192;
  facts.parameters = 134515008;
  facts.scale = 0.1;
  facts.softcap = 30;
  return facts;
}

std::string changed(std::string hello, const std::string& from, const std::string& to) {
  const auto at = hello.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return hello.replace(at, from.size(), to);
}

TEST(TeacherHello, FactsComeAsTheyWere) {
  const TeacherFacts facts = some_facts();
  const TeacherFacts read = read_teacher_hello(write_teacher_hello(facts), "peer");
  EXPECT_EQ(read.model, facts.model);
  EXPECT_EQ(read.weights, facts.weights);
  EXPECT_EQ(read.tokenizer, facts.tokenizer);
  EXPECT_EQ(read.dtype, facts.dtype);
  EXPECT_EQ(read.hidden_size, facts.hidden_size);
  EXPECT_EQ(read.vocabulary, facts.vocabulary);
  EXPECT_EQ(read.max_positions, facts.max_positions);
  EXPECT_EQ(read.parameters, facts.parameters);
  EXPECT_EQ(read.scale, facts.scale) << "to the bit: the loss depends on it";
  EXPECT_EQ(read.softcap, facts.softcap);
  EXPECT_EQ(read.hidden_bytes(), 1152u);
  EXPECT_EQ(read.logit_bytes(), 98304u);
  EXPECT_EQ(read.head_bytes(), 56623104u);
  read_student_hello(write_student_hello(), "peer");
}

TEST(TeacherHello, WhatIsNoneIsToldByName) {
  const std::string hello = write_teacher_hello(some_facts());
  const auto refusal = [](const std::string& text) {
    const auto message = message_of<FormatError>([&] { read_teacher_hello(text, "peer"); });
    EXPECT_LT(message.size(), 300u);
    return message;
  };
  EXPECT_NE(refusal(changed(hello, "\"version\":1", "\"version\":2")).find("the same version"),
            std::string::npos);
  EXPECT_NE(refusal(changed(hello, "distill-teacher", "other")).find("calls itself `other`"),
            std::string::npos);
  EXPECT_NE(refusal(changed(hello, "little", "big")).find("byte order"), std::string::npos);
  EXPECT_NE(refusal(write_student_hello()).find("expected a teacher"), std::string::npos);
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"\"hidden_size\":576", "\"hidden_size\":0"},
      {"\"hidden_size\":576", "\"hidden_size\":99999999"},
      {"\"vocabulary\":49152", "\"vocabulary\":1e4"},
      {"\"vocabulary\":49152", "\"vocabulary\":99999999999"},
      {"\"max_positions\":8192", "\"max_positions\":-1"},
      {"\"scale\":0.1", "\"scale\":0"},
      {"\"scale\":0.1", "\"scale\":null"},
      {"\"softcap\":30.0", "\"softcap\":-1"},
      {"bf16", "fp64"},
      {std::string(32, 'a'), std::string(31, 'a')},
      {std::string(32, '7'), std::string(32, 'G')},
      {"}", ""}};
  for (const auto& [from, to] : changes) {
    const auto at = hello.find(from);
    if (at == std::string::npos) continue;  // a number that is written otherwise
    EXPECT_FALSE(refusal(changed(hello, from, to)).empty()) << to;
  }
  for (const char* text : {"", "{}", "[]", "GET / HTTP/1.1", "\xff\xfe"}) {
    EXPECT_FALSE(refusal(text).empty()) << text;
  }
}

TeacherRequest some_request() {
  TeacherRequest request;
  request.number = 0x123456789abcdef0;
  request.whole = true;
  request.ids = {5, 0, 49151, 2147483647, 7};
  request.segments = {0, 2, 5};
  request.counts = {true, false, true, true, false};
  return request;
}

TEST(TeacherRequest, ComesAsItWas) {
  const TeacherRequest request = some_request();
  const TeacherRequest read = read_request(write_request(request), "peer");
  EXPECT_EQ(read.number, request.number);
  EXPECT_EQ(read.whole, request.whole);
  EXPECT_EQ(read.ids, request.ids);
  EXPECT_EQ(read.segments, request.segments);
  EXPECT_EQ(read.counts, request.counts);
  EXPECT_EQ(write_request(request).size(), 24u + 2 * 4 + 5 * 5) << "bytes are part of the protocol";
}

TEST(TeacherRequest, ShortAndLongBodiesAreRefused) {
  const auto whole = write_request(some_request());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(read_request(std::span(whole).first(size), "peer"), FormatError) << size;
  }
  auto longer = whole;
  longer.push_back(std::byte{1});
  EXPECT_THROW(read_request(longer, "peer"), FormatError);
}

TEST(TeacherRequest, WhatMakesNoSenseIsRefused) {
  auto request = some_request();
  request.segments = {0, 3, 2, 5};
  EXPECT_THROW(read_request(write_request(request), "peer"), FormatError);
  request.segments = {0, 2, 2, 5};
  EXPECT_THROW(read_request(write_request(request), "peer"), FormatError);
  request.segments = {0, 2, 4};
  EXPECT_THROW(read_request(write_request(request), "peer"), FormatError);
  request = some_request();
  request.ids[0] = std::int64_t{1} << 31;
  EXPECT_THROW(write_request(request), InputError);
  request.ids.resize(kMostRequestTokens + 1);
  EXPECT_NE(message_of<InputError>([&] { write_request(request); }).find("at once"),
            std::string::npos);
  auto bytes = write_request(some_request());
  bytes[24 + 8 + 3] = std::byte{0x80};  // the first id becomes negative
  EXPECT_NE(message_of<FormatError>([&] { read_request(bytes, "peer"); }).find("holds the id -"),
            std::string::npos);
}

/// Counts that claim more than there is allocate nothing.
TEST(TeacherRequest, RandomBytesAreRefusedOrARequest) {
  core::RandomState random(5, 1);
  const auto whole = write_request(some_request());
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = whole;
    for (int change = 0; change < 3; ++change) {
      bytes[random.next() % bytes.size()] = static_cast<std::byte>(random.next());
    }
    try {
      const auto read = read_request(bytes, "peer");
      ASSERT_EQ(read.ids.size(), read.counts.size());
      ASSERT_EQ(read.segments.back(), std::ssize(read.ids));
    } catch (const FormatError&) {
    }
  }
}

TEST(TeacherAnswer, ComesAsItWasAndReasonsAreHarmless) {
  const auto read = read_answer(write_answer({77, "no\nroom\x1b[31m"}), "peer");
  EXPECT_EQ(read.number, 77u);
  EXPECT_EQ(read.reason, "no\\x0aroom\\x1b[31m");
  EXPECT_EQ(write_answer({1, std::string(5000, 'x')}).size(), 8u + 160);
  EXPECT_THROW(read_answer(std::vector<std::byte>(7), "peer"), FormatError);
  EXPECT_THROW(read_answer(std::vector<std::byte>(2000), "peer"), FormatError);
}

}  // namespace
}  // namespace distill::io
