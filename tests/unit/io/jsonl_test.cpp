#include <distill/io/jsonl.h>

#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/json_writer.h>

#include "support/temp_folder.h"

namespace distill::io {
namespace {

using testing::message_of;
using testing::TempFolder;

/// The rows' `n`, in order.
std::vector<std::int64_t> numbers_in(const std::string& content, const JsonLimits& limits = {}) {
  const TempFolder folder;
  core::write_file_atomically(folder / "f.jsonl", content);
  JsonlReader reader(folder / "f.jsonl", limits);
  std::vector<std::int64_t> numbers;
  while (const auto row = reader.next()) {
    numbers.push_back(JsonCursor(row->value, row->source).at("n").as_int());
  }
  return numbers;
}

/// The message without the folder.
std::string refusal(const std::string& content, const JsonLimits& limits = {}) {
  const std::string message = message_of<FormatError>([&] { numbers_in(content, limits); });
  EXPECT_LT(message.size(), 300u);
  const std::size_t name = message.find("f.jsonl");
  return name == std::string::npos ? message : message.substr(name);
}

using Numbers = std::vector<std::int64_t>;

TEST(JsonlReader, ReadsRows) {
  EXPECT_EQ(numbers_in("{\"n\":1}\n{\"n\":2}\n"), (Numbers{1, 2}));
  EXPECT_EQ(numbers_in("{\"n\":1}\n{\"n\":2}"), (Numbers{1, 2}));
  EXPECT_EQ(numbers_in("{\"n\":1}\r\n{\"n\":2}\r\n"), (Numbers{1, 2}));
  EXPECT_EQ(numbers_in("\xef\xbb\xbf{\"n\":1}\n"), (Numbers{1}));
  EXPECT_EQ(numbers_in("  {\"n\":1} \t\n"), (Numbers{1}));
  EXPECT_EQ(numbers_in(""), Numbers{});
  EXPECT_EQ(numbers_in("\xef\xbb\xbf"), Numbers{});
}

TEST(JsonlReader, RowsKnowWhereTheyStand) {
  const TempFolder folder;
  core::write_file_atomically(folder / "f.jsonl", "{\"a\":\"\\u00e9\\n\"}\n{\"a\":2}\n");
  JsonlReader reader(folder / "f.jsonl");
  const auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->line, 1);
  EXPECT_EQ(JsonCursor(first->value, first->source).at("a").as_string(), "\xc3\xa9\n");
  const auto second = reader.next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->line, 2);
  EXPECT_EQ(second->source, (folder / "f.jsonl").string() + ":2");
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
}

TEST(JsonlReader, NamesTheLineThatIsWrong) {
  const std::string good = "{\"n\":1}\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {good + "\n" + good, "f.jsonl:2: an empty line"},
      {good + good + "\n", "f.jsonl:3: an empty line"},
      {good + "   \n", "f.jsonl:2: an empty line"},
      {good + "\r\n", "f.jsonl:2: an empty line"},
      {"\n", "f.jsonl:1: an empty line"},
      {good + "[1]\n", "f.jsonl:2: must be a JSON object, it is an array"},
      {"3\n", "f.jsonl:1: must be a JSON object, it is an integer"},
      {"null\n", "f.jsonl:1: must be a JSON object, it is null"},
      {"\"text\"\n", "f.jsonl:1: must be a JSON object, it is a string"},
      {good + good + "{\"n\":\n", "f.jsonl:3:6: "},
      {good + "{\"n\":1} {\"n\":2}\n", "f.jsonl:2:9: "},
      {good + "{\"n\":1,\"n\":2}\n", "f.jsonl:2:10: name `n` appears twice"},
      {good + "{\"n\":1,}\n", "f.jsonl:2:8: "},
      {good + "{'n':1}\n", "f.jsonl:2:2: "},
      {good + "{\"n\":NaN}\n", "f.jsonl:2:6: "},
      {good + "{\"n\":9223372036854775808}\n",
       "f.jsonl:2:6: number `9223372036854775808` does not fit"},
      {good + "{\"n\":\"\xff\"}\n", "f.jsonl:2:7: "},
      {good + "\xef\xbb\xbf{\"n\":1}\n", "f.jsonl:2:1: a byte order mark"},
      {good + std::string("{\"n\":1}\0\n", 9), "f.jsonl:2:8: a NUL byte"},
      {"\xff\xfe{", "f.jsonl:1:1: "},
      {good + "{\"n\":\"1\"}\n", "f.jsonl:2: `n` must be an integer, it is a string"},
      {good + "{}\n", "f.jsonl:2: `n` is missing"},
      {"{\"n\":1}\r{\"n\":2}\r", "f.jsonl:1:9: "},
      {"{\n\"n\":1}\n", "f.jsonl:1:2: "},
      {good + "{\"n\":" + std::string(100, '[') + "\n", "f.jsonl:2:69: nested deeper than 64"},
  };
  for (const auto& [content, expected] : cases) {
    const std::string message = refusal(content);
    EXPECT_TRUE(message.starts_with(expected)) << message << "\nexpected: " << expected;
  }
}

TEST(JsonlReader, IntegersOfAnySizeArePassedOver) {
  const JsonlRow row =
      parse_jsonl_row({R"({"id": 18446744073709551615, "low": -9223372036854775809})", 1}, "f");
  const JsonCursor cursor(row.value, row.source);
  for (const auto* name : {"id", "low"}) {
    EXPECT_EQ(message_of<FormatError>([&] { cursor.at(name).as_int(); }),
              core::concat("f:1: `", name,
                           "` must be an integer, it is an integer that does not fit 64 bits"));
    EXPECT_THROW(cursor.at(name).as_double(), FormatError);
  }
  core::JsonWriter json;
  json.begin_array();
  for (const auto& [name, value] : cursor.as_object().members()) {
    json.value(std::get<core::JsonNumber>(value.storage()));
  }
  EXPECT_EQ(json.end_array().text(), "[18446744073709551615,-9223372036854775809]");
  EXPECT_THROW(parse_json("18446744073709551615", "f"), FormatError);
}

TEST(JsonlReader, LinesAreLimited) {
  JsonLimits limits;
  limits.max_bytes = 10;
  EXPECT_EQ(numbers_in("{\"n\":1234}\r\n{\"n\":1234}\n{\"n\":1234}", limits),
            (Numbers{1234, 1234, 1234}));
  EXPECT_TRUE(
      refusal("{\"n\":1}\n{\"n\":12345}\n", limits).starts_with("f.jsonl:2:1: 11 bytes of JSON"));
  EXPECT_TRUE(refusal("{\"n\":1}\n" + std::string(100, ' '), limits)
                  .starts_with("f.jsonl:2: a line of more than 10 bytes"));
}

TEST(JsonlReader, GoesOnAfterALineThatIsTooLong) {
  JsonLimits limits;
  limits.max_bytes = 10;
  const TempFolder folder;
  core::write_file_atomically(folder / "f.jsonl", "{\"n\":1}\n" + std::string(100, ' ') +
                                                      "\n{\"n\":3}\n" + std::string(50, ' '));
  JsonlReader reader(folder / "f.jsonl", limits);
  EXPECT_EQ(reader.next()->line, 1);
  EXPECT_THROW(reader.next(), FormatError);
  EXPECT_EQ(reader.next()->line, 3);
  EXPECT_THROW(reader.next(), FormatError);
  EXPECT_FALSE(reader.next());
}

TEST(JsonlReader, RowsMayBeLargerThanOtherFilesButNotWithoutEnd) {
  const auto row = [](std::size_t bytes) {
    return "{\"n\":1,\"text\":\"" + std::string(bytes, 'x') + "\"}\n";
  };
  EXPECT_EQ(numbers_in(row(std::size_t{8} << 20), kJsonlRowLimits), (Numbers{1}));
  EXPECT_TRUE(refusal(row(std::size_t{17} << 20), kJsonlRowLimits)
                  .starts_with("f.jsonl:1: a line of more than 16777216 bytes"));
}

TEST(JsonlReader, OpensRegularFilesOnly) {
  const TempFolder folder;
  EXPECT_NE(
      message_of<InputError>([&] { JsonlReader(folder / "none.jsonl"); }).find("no such file"),
      std::string::npos);
  EXPECT_THROW(JsonlReader(folder.path()), InputError);
  EXPECT_THROW(JsonlReader("/dev/zero"), InputError);
}

}  // namespace
}  // namespace distill::io
