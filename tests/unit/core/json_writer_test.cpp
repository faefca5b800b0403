#include <distill/core/json_writer.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace distill::core {
namespace {

TEST(JsonWriter, NestsAndSeparates) {
  JsonWriter json;
  json.begin_object()
      .member("a", 1)
      .key("b")
      .begin_array()
      .value(1.5)
      .value("x")
      .null()
      .end_array();
  json.key("c").begin_object().end_object().member("d", true).end_object();
  EXPECT_EQ(json.text(), R"({"a":1,"b":[1.5,"x",null],"c":{},"d":true})");
}

TEST(JsonWriter, Indents) {
  JsonWriter json(2);
  json.begin_object().member("a", 1).key("b").begin_array().value(2).end_array().end_object();
  EXPECT_EQ(json.text(), "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ]\n}");
}

TEST(JsonWriter, KeepsDigitsAndRefusesNonNumbers) {
  JsonWriter json;
  json.begin_array().value(0.1).value(std::nan("")).value(std::numeric_limits<double>::infinity());
  json.value(std::numeric_limits<std::int64_t>::min())
      .value(std::numeric_limits<std::uint64_t>::max());
  json.end_array();
  EXPECT_EQ(json.text(), "[0.1,null,null,-9223372036854775808,18446744073709551615]");
}

TEST(JsonWriter, EscapesAndRepairsStrings) {
  JsonWriter json;
  json.value("\"\\\n\t\x01 \xc3\xbc \xff.");
  EXPECT_EQ(json.text(), "\"\\\"\\\\\\n\\t\\u0001 \xc3\xbc \xef\xbf\xbd.\"");
}

}  // namespace
}  // namespace distill::core
