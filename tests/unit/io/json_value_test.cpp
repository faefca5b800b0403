#include <distill/io/json_value.h>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>

#include "support/temp_folder.h"

namespace distill::io {
namespace {

using testing::message_of;
using testing::TempFolder;

std::string refusal(const std::string& text, const JsonLimits& limits = {}) {
  return message_of<FormatError>([&] { parse_json(text, "f.json", limits); });
}

TEST(JsonValue, KeepsKindsAndOrder) {
  const JsonValue value = parse_json(R"({"z":1,"a":[true,null,"x",2.5],"m":{}})", "f");
  const JsonObject& object = std::get<JsonObject>(value.storage());
  ASSERT_EQ(object.size(), 3u);
  EXPECT_EQ(object.members()[0].first, "z");
  EXPECT_EQ(object.members()[1].first, "a");
  EXPECT_EQ(object.members()[2].first, "m");
  const JsonArray& items = std::get<JsonArray>(object.find("a")->storage());
  EXPECT_STREQ(object.find("z")->kind_name(), "an integer");
  EXPECT_STREQ(items[0].kind_name(), "a boolean");
  EXPECT_STREQ(items[1].kind_name(), "null");
  EXPECT_STREQ(items[2].kind_name(), "a string");
  EXPECT_STREQ(items[3].kind_name(), "a number");
  EXPECT_STREQ(object.find("m")->kind_name(), "an object");
  EXPECT_EQ(object.find("missing"), nullptr);
}

TEST(JsonValue, IntegersAreExact) {
  const auto integer = [](const char* text) {
    return JsonCursor(parse_json(text, "f"), "f").as_int();
  };
  EXPECT_EQ(integer("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(integer("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(integer("9007199254740993"), 9007199254740993);
  EXPECT_EQ(integer("-0"), 0);
  EXPECT_EQ(
      refusal("[9223372036854775808]"),
      "f.json:1:2: number `9223372036854775808` does not fit 64 bits, expected an integer from "
      "-2^63 to 2^63-1");
  EXPECT_NE(refusal("[1,\n -9223372036854775809]").find("f.json:2:2: "), std::string::npos);
}

TEST(JsonValue, NumbersReadAsWritten) {
  const auto number = [](const char* text) {
    return JsonCursor(parse_json(text, "f"), "f").as_double();
  };
  EXPECT_EQ(number("0.1"), 0.1);
  EXPECT_EQ(number("1e-05"), 1e-5);
  EXPECT_EQ(number("1.7976931348623157e308"), 1.7976931348623157e308);
  EXPECT_EQ(number("12"), 12.0);
  EXPECT_EQ(refusal("[0, 1e400]"), "f.json:1:5: number `1e400` is too large for a float64");
}

TEST(JsonValue, StringsAreUnescapedToUtf8) {
  const JsonValue value = parse_json(R"("\u00e9\uD83D\uDE00\u0000x")", "f");
  EXPECT_EQ(std::get<std::string>(value.storage()), std::string("\xc3\xa9\xf0\x9f\x98\x80\0x", 8));
}

TEST(JsonValue, ErrorsNameLineAndColumn) {
  EXPECT_TRUE(refusal("{\n  \"a\": 1,\n  \"b\": x\n}").starts_with("f.json:3:8: "))
      << refusal("{\n  \"a\": 1,\n  \"b\": x\n}");
  EXPECT_EQ(refusal("{\"a\":1,\n \"a\":2}"), "f.json:2:4: name `a` appears twice in one object");
  EXPECT_TRUE(refusal("").starts_with("f.json:1:1: ")) << refusal("");
}

TEST(JsonValue, DuplicateNamesAreFoundInLargeObjects) {
  std::string text = "{";
  for (int i = 0; i < 5000; ++i)
    text += "\"name" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  EXPECT_NE(refusal(text + "\"name4321\":0}").find("name `name4321` appears twice"),
            std::string::npos);
  const JsonValue value = parse_json(text + "\"last\":0}", "f");
  const JsonCursor cursor(value, "f");
  for (int i = 0; i < 5000; ++i) EXPECT_EQ(cursor.at("name" + std::to_string(i)).as_int(), i);
  EXPECT_FALSE(cursor.has("name5000"));
}

TEST(JsonValue, ForeignBytesDoNotReachTheMessage) {
  const std::string name = "bad\\u001b[31m\\n" + std::string(500, 'y');
  const std::string message = refusal("{\"" + name + "\":1,\"" + name + "\":2}");
  EXPECT_NE(message.find("bad\\x1b[31m\\x0a"), std::string::npos) << message;
  EXPECT_LT(message.size(), 300u);
  EXPECT_LT(refusal("[" + std::string(100000, 'q') + "]").size(), 300u);
}

TEST(JsonValue, DepthIsLimited) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_NO_THROW(parse_json(nested(64), "f"));
  EXPECT_EQ(refusal(nested(65)), "f.json:1:65: nested deeper than 64 levels, which is the limit");
  refusal(std::string(10'000'000, '['));
  std::string objects;
  for (int i = 0; i < 100; ++i) objects += "{\"a\":";
  EXPECT_NE(refusal(objects).find("nested deeper"), std::string::npos);
}

TEST(JsonValue, SizeAndCountAreLimited) {
  JsonLimits limits;
  limits.max_bytes = 10;
  EXPECT_NE(refusal("[1,2,3,4,5]", limits).find("11 bytes of JSON, expected at most 10"),
            std::string::npos);
  EXPECT_NE(refusal("\"" + std::string(std::size_t{5} << 20, 'x') + "\"").find("at most 4194304"),
            std::string::npos);
  std::string many = "[0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  EXPECT_NE(refusal(many + "]").find("more than 100000 values"), std::string::npos);
  limits = {};
  limits.max_values = 4;
  EXPECT_NO_THROW(parse_json("[1,2,3]", "f", limits));
  EXPECT_NE(refusal("[1,2,3,4]", limits).find("more than 4 values"), std::string::npos);
}

TEST(JsonObject, CopiesAreIndependent) {
  JsonObject first;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(first.insert("n" + std::to_string(i), parse_json(std::to_string(i), "f")));
  }
  JsonObject second = first;
  EXPECT_TRUE(second.insert("extra", JsonValue()));
  EXPECT_EQ(first.find("extra"), nullptr);
  EXPECT_TRUE(first.insert("other", JsonValue()));
  EXPECT_EQ(second.find("other"), nullptr);
  EXPECT_NE(second.find("extra"), nullptr);
  EXPECT_FALSE(first.insert("n42", JsonValue()));
  EXPECT_EQ(first.size(), 101u);
}

TEST(JsonCursor, MessagesNameFilePathAndKinds) {
  const JsonValue value =
      parse_json(R"({"rope":{"factor":"8","n":3.0},"heads":[1,{"k":null}],"big":400})", "f");
  const JsonCursor root(value, "config.json");
  EXPECT_EQ(message_of<FormatError>([&] { root.at("rope").at("factor").as_double(); }),
            "config.json: `rope.factor` must be a number, it is a string");
  EXPECT_EQ(
      message_of<FormatError>([&] { root.at("rope").at("n").as_int(); }),
      "config.json: `rope.n` must be an integer, it is a number with a fraction or an exponent");
  EXPECT_EQ(message_of<FormatError>([&] { root.at("rope").at("theta"); }),
            "config.json: `rope.theta` is missing");
  EXPECT_EQ(message_of<FormatError>([&] { root.at("heads").at(1).at("k").as_bool(); }),
            "config.json: `heads[1].k` must be a boolean, it is null");
  EXPECT_EQ(message_of<FormatError>([&] { root.at("heads").at(2); }),
            "config.json: `heads` has 2 items, expected at least 3");
  EXPECT_EQ(message_of<FormatError>([&] { root.at("big").int_in(1, 128); }),
            "config.json: `big` must be an integer from 1 to 128, it is 400");
  EXPECT_EQ(message_of<FormatError>([&] { root.as_array(); }),
            "config.json: the top level must be an array, it is an object");
  EXPECT_EQ(message_of<FormatError>([&] { root.at("big").size(); }),
            "config.json: `big` must be an array or an object, it is an integer");
  EXPECT_EQ(message_of<FormatError>([&] { root.at("big").fail("is odd"); }),
            "config.json: `big` is odd");
  EXPECT_EQ(root.at("heads").size(), 2u);
  EXPECT_EQ(root.at("big").int_in(400, 400), 400);
}

TEST(JsonCursor, DefaultsStandInForMissingAndNull) {
  const JsonValue value = parse_json(R"({"i":3,"d":0.5,"b":true,"s":"x","none":null})", "f");
  const JsonCursor root(value, "f");
  EXPECT_EQ(root.int_or("i", 7), 3);
  EXPECT_EQ(root.int_or("none", 7), 7);
  EXPECT_EQ(root.int_or("missing", 7), 7);
  EXPECT_EQ(root.double_or("d", 1.0), 0.5);
  EXPECT_EQ(root.double_or("i", 1.0), 3.0);
  EXPECT_EQ(root.double_or("none", 1.0), 1.0);
  EXPECT_TRUE(root.bool_or("b", false));
  EXPECT_FALSE(root.bool_or("none", false));
  EXPECT_EQ(root.string_or("s", "y"), "x");
  EXPECT_EQ(root.string_or("missing", "y"), "y");
  EXPECT_THROW(root.int_or("s", 7), FormatError);
  EXPECT_TRUE(root.has("i"));
  EXPECT_FALSE(root.has("none"));
}

TEST(ReadJsonFile, NamesTheFile) {
  const TempFolder folder;
  core::write_file_atomically(folder / "c.json", "{\"a\":1");
  EXPECT_TRUE(message_of<FormatError>([&] {
                read_json_file(folder / "c.json");
              }).starts_with((folder / "c.json").string() + ":1:7: "));
  EXPECT_NE(
      message_of<InputError>([&] { read_json_file(folder / "missing.json"); }).find("no such file"),
      std::string::npos);
  core::write_file_atomically(folder / "empty.json", "");
  EXPECT_THROW(read_json_file(folder / "empty.json"), FormatError);
}

}  // namespace
}  // namespace distill::io
