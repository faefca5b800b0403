// What a tokenizer.json may hold, and how the rest is refused.
#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

using testing::load_json;
using testing::message_of;
using testing::replaced;

const std::string kSmall = R"({"version":"1.0","truncation":null,"padding":null,
"added_tokens":[{"id":0,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":null,
"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
"post_processor":null,
"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,
"vocab":{"<s>":0,"a":1,"b":2,"c":3,"ab":4,"bc":5,"abc":6},"merges":["a b","b c","ab c"]}})";

struct Change {
  const char* from;
  const char* to;
  const char* expected;  ///< a part of the message
};

template <class E>
void expect_refusals(const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    const std::string message =
        message_of<E>([&] { load_json(replaced(kSmall, change.from, change.to)); });
    EXPECT_NE(message.find(change.expected), std::string::npos) << change.to << "\n" << message;
    EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_LT(message.size(), 400u) << message;
  }
}

TEST(TokenizerJson, TheSmallOneWorks) {
  const auto tokenizer = load_json(kSmall);
  EXPECT_EQ(tokenizer->encode("abc<s>bca", true), (TokenIds{6, 0, 5, 1}));
  EXPECT_EQ(tokenizer->decode({6, 0, 5}, false), "abc<s>bc");
  EXPECT_EQ(tokenizer->id_of("ab"), 4);
  EXPECT_EQ(tokenizer->vocab_size(), 7);
}

TEST(TokenizerJson, FormsOfMergesAndVersionLines) {
  const TokenIds expected = load_json(kSmall)->encode("abcab", false);
  const std::string merges = R"(["a b","b c","ab c"])";
  EXPECT_EQ(load_json(replaced(kSmall, merges, R"([["a","b"],["b","c"],["ab","c"]])"))
                ->encode("abcab", false),
            expected);
  EXPECT_EQ(load_json(replaced(kSmall, merges, R"(["#version: 0.2","a b","b c","ab c"])"))
                ->encode("abcab", false),
            expected);
  // The second `a b` is after `b c`, which is then merged first.
  EXPECT_EQ(
      load_json(replaced(kSmall, merges, R"(["a b","b c","ab c","a b"])"))->encode("abc", false),
      (TokenIds{1, 5}));
}

TEST(TokenizerJson, BytesThatAreNoTokenAreLeftOutOrUnknown) {
  EXPECT_EQ(load_json(kSmall)->encode("axb", false), (TokenIds{4}));
  const std::string unknown = replaced(kSmall, R"("unk_token":null)", R"("unk_token":"c")");
  EXPECT_EQ(load_json(unknown)->encode("axxb", false), (TokenIds{1, 3, 3, 2}));
  EXPECT_EQ(load_json(replaced(unknown, R"("fuse_unk":false)", R"("fuse_unk":true)"))
                ->encode("axxb", false),
            (TokenIds{1, 3, 2}));
}

TEST(TokenizerJson, IgnoreMergesTakesAWholePiece) {
  const std::string without = replaced(kSmall, R"("ab c")", R"("b c")");
  EXPECT_EQ(load_json(without)->encode("abc", false), (TokenIds{4, 3}));
  EXPECT_EQ(load_json(replaced(without, R"("ignore_merges":false)", R"("ignore_merges":true)"))
                ->encode("abc", false),
            (TokenIds{6}));
}

TEST(TokenizerJson, ThePostProcessorFramesTheText) {
  const auto tokenizer = load_json(replaced(
      kSmall, R"("post_processor":null)",
      R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"S","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"S","type_id":0}}],
      "pair":[],"special_tokens":{"S":{"id":"S","ids":[0,6],"tokens":["<s>","abc"]}}})"));
  EXPECT_EQ(tokenizer->encode("a", true), (TokenIds{0, 6, 1, 0, 6}));
  EXPECT_EQ(tokenizer->encode("a", false), (TokenIds{1}));
}

TEST(TokenizerJson, WhatIsNotImplementedIsRefusedByName) {
  expect_refusals<UnsupportedError>({
      {R"("type":"BPE")", R"("type":"Unigram")",
       "model type `Unigram` is not supported; supported: BPE"},
      {R"("dropout":null)", R"("dropout":0.1)", "model.dropout"},
      {R"("continuing_subword_prefix":null)", R"("continuing_subword_prefix":"##")",
       "model.continuing_subword_prefix"},
      {R"("end_of_word_suffix":null)", R"("end_of_word_suffix":"</w>")",
       "model.end_of_word_suffix"},
      {R"("byte_fallback":false)", R"("byte_fallback":true)", "model.byte_fallback"},
      {R"("fuse_unk":false)", R"("new_rule":1)", "`new_rule`"},
      {R"("version":"1.0")", R"("version":"2.0")", "version"},
      {R"("padding":null)", R"("padding":null,"extra":1)", "`extra`"},
      {R"("normalizer":null)", R"("normalizer":{"type":"BertNormalizer"})",
       "normalizer type `BertNormalizer` is not supported"},
      {R"("normalizer":null)",
       R"("normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Nmt"}]})",
       "`Nmt`"},
      {R"("pre_tokenizer":{"type":"ByteLevel")", R"("pre_tokenizer":{"type":"Whitespace")",
       "pre_tokenizer type `Whitespace` is not supported; supported: null, ByteLevel, Digits, "
       "Metaspace, Split, Sequence"},
      {R"("use_regex":true},
"post)",
       R"("use_regex":true,"only_vowels":true},
"post)",
       "`only_vowels`"},
      {R"("post_processor":null)", R"("post_processor":{"type":"BertProcessing"})",
       "post_processor type `BertProcessing`"},
      {R"("decoder":{"type":"ByteLevel")", R"("decoder":{"type":"WordPiece")",
       "decoder type `WordPiece`"},
  });
}

TEST(TokenizerJson, StepsThatAreNotImplementedAreRefused) {
  const char* const kStep =
      R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},)";
  const auto step = [&](std::string to) { return to + ","; };
  struct Case {
    std::string steps;
    const char* expected;
  };
  const std::string byte_level = R"({"type":"ByteLevel","add_prefix_space":false})";
  const auto sequence = [](const std::string& steps) {
    return R"({"type":"Sequence","pretokenizers":[)" + steps + "]}";
  };
  const auto split = [](const std::string& regex, const std::string& behavior) {
    return R"({"type":"Split","pattern":{"Regex":")" + regex + R"("},"behavior":")" + behavior +
           R"(","invert":false})";
  };
  const Case cases[] = {
      {sequence(byte_level + "," + byte_level), "comes after ByteLevel"},
      {sequence(split("[0-9]+", "Isolated") + "," + byte_level), "`[0-9]+` is not a pattern"},
      {sequence(split("\\\\p{N}{1,3}", "Dropped") + "," + byte_level), "`Dropped`"},
      {R"({"type":"Metaspace","replacement":"_","prepend_scheme":"last"})", "`last`"},
      {sequence(R"({"type":"Whitespace"},)" + byte_level), "`Whitespace`"},
  };
  for (const Case& bad : cases) {
    const std::string message =
        message_of<UnsupportedError>([&] { load_json(replaced(kSmall, kStep, step(bad.steps))); });
    EXPECT_NE(message.find(bad.expected), std::string::npos) << message;
  }
}

TEST(TokenizerJson, MalformedOnesAreRefusedWithTheirPlace) {
  expect_refusals<FormatError>({
      {R"("merges":["a b")", R"("merges":["a x")", "`model.merges[0]` needs the token `x`"},
      {R"("merges":["a b")", R"("merges":["b a")", "needs the token `ba`"},
      {R"("merges":["a b")", R"("merges":["ab")", "expected two tokens and one space"},
      {R"("merges":["a b")", R"("merges":["a  b")", "expected two tokens and one space"},
      {R"("merges":["a b")", R"("merges":[["a"])", "model.merges[0]"},
      {R"("merges":["a b")", R"("merges":[["a",1])", "model.merges[0]"},
      {R"("merges":["a b")", R"("merges":[7)", "model.merges[0]"},
      {R"("merges":["a b","b c","ab c"])", R"("merges":{"a":"b"})", "model.merges"},
      {R"(,"merges":["a b","b c","ab c"])", "", "model.merges"},
      {R"("c":3)", R"("c":2)", "gives the id 2 to both `b` and `c`"},
      {R"("c":3)", R"("c":-1)", "model.vocab.c"},
      {R"("c":3)", R"("c":2147483648)", "model.vocab.c"},
      {R"("c":3)", R"("c":9223372036854775807)", "model.vocab.c"},
      {R"("c":3)", R"("c":99999999999999999999)", "does not fit"},
      {R"("c":3)", R"("c":3.0)", "model.vocab.c"},
      {R"("c":3)", R"("c":"3")", "model.vocab.c"},
      {R"("c":3)", R"("c":null)", "model.vocab.c"},
      {R"("c":3)", R"("":3)", "empty token"},
      {R"("c":3)", R"("a":3)", "appears twice"},
      {R"("vocab":{"<s>":0,"a":1,"b":2,"c":3,"ab":4,"bc":5,"abc":6})", R"("vocab":{})",
       "model.vocab"},
      {R"("vocab":{"<s>":0,"a":1,"b":2,"c":3,"ab":4,"bc":5,"abc":6})", R"("vocab":["a"])",
       "model.vocab"},
      {R"("type":"BPE")", R"("type":7)", "model.type"},
      {R"("unk_token":null)", R"("unk_token":"?")", "model.unk_token"},
      {R"("ignore_merges":false)", R"("ignore_merges":1)", "model.ignore_merges"},
      {R"([{"id":0)", R"([{"id":1)", "expected 0 as the vocabulary has it"},
      {R"([{"id":0)", R"([{"id":-1)", "added_tokens[0].id"},
      {R"([{"id":0)", R"([{"id":4294967296)", "added_tokens[0].id"},
      {R"("content":"<s>")", R"("content":"")", "added_tokens[0].content"},
      {R"("content":"<s>")", R"("content":"<new>")", "expected 7"},
      {R"("content":"<s>",)", "", "added_tokens[0].content"},
      {R"("special":true)", R"("special":"yes")", "added_tokens[0].special"},
      {R"("lstrip":false,)", "", "added_tokens[0].lstrip"},
      {R"("added_tokens":[)", R"("added_tokens":[7,)", "added_tokens[0]"},
      {R"("pre_tokenizer":{"type":"ByteLevel",)", R"("pre_tokenizer":{)", "pre_tokenizer.type"},
      {R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,)",
       R"("pre_tokenizer":{"type":"ByteLevel",)", "pre_tokenizer.add_prefix_space"},
      {R"("normalizer":null)", R"("normalizer":"NFC")", "normalizer"},
      {R"("model":{)", R"("not_model":null,"x":null,"model":[{)", "tokenizer.json:"},
  });
}

TEST(TokenizerJson, MalformedPostProcessorsAreRefused) {
  const auto with = [&](const std::string& single, const std::string& tokens) {
    return replaced(kSmall, R"("post_processor":null)",
                    R"("post_processor":{"type":"TemplateProcessing","single":[)" + single +
                        R"(],"pair":[],"special_tokens":{)" + tokens + "}}");
  };
  const std::string text = R"({"Sequence":{"id":"A","type_id":0}})";
  const std::string special = R"({"SpecialToken":{"id":"S","type_id":0}})";
  const std::pair<std::string, const char*> cases[] = {
      {with(special, R"("S":{"id":"S","ids":[0],"tokens":["<s>"]})"), "exactly once"},
      {with(text + "," + text, ""), "exactly once"},
      {with(special + "," + text, ""), "special_tokens.S"},
      {with(special + "," + text, R"("S":{"id":"S","ids":[1],"tokens":["<s>"]})"),
       "is not the id of `<s>`"},
      {with(special + "," + text, R"("S":{"id":"S","ids":[-1],"tokens":["none"]})"),
       "is not the id of `none`"},
      {with(special + "," + text, R"("S":{"id":"S","ids":[],"tokens":[]})"), "as many `ids`"},
      {with(R"({"Sequence":{"id":"B","type_id":0}})", ""), "the sequence `A`"},
  };
  for (const auto& [json, expected] : cases) {
    const std::string message = message_of<FormatError>([&, &j = json] { load_json(j); });
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(TokenizerJson, MissingPartsDeepNestingAndNoiseAreRefused) {
  EXPECT_THROW(load_json("{}"), FormatError);
  EXPECT_THROW(load_json(""), FormatError);
  EXPECT_THROW(load_json("[]"), FormatError);
  EXPECT_THROW(load_json(R"({"version":"1.0","model":null})"), FormatError);
  std::string deep = R"({"type":"Sequence","pretokenizers":[)";
  std::string nested;
  for (int i = 0; i < 5000; ++i) nested += deep;
  EXPECT_THROW(load_json(replaced(kSmall, R"("pre_tokenizer":)", R"("pre_tokenizer":)" + nested)),
               FormatError);
}

// Many shortenings and flipped bits of a valid file: an error or a tokenizer, never a crash.
TEST(TokenizerJson, DamagedFilesNeverCrash) {
  const testing::TempFolder folder;
  std::size_t loaded = 0;
  const auto attempt = [&](const std::string& json) {
    std::ofstream(folder / "tokenizer.json", std::ios::binary) << json;
    try {
      load_tokenizer(folder.path())->encode("abc <s>\xC3\xA9", true);
      ++loaded;
    } catch (const InputError&) {
    }
  };
  for (std::size_t size = 0; size < kSmall.size(); size += 31) attempt(kSmall.substr(0, size));
  EXPECT_EQ(loaded, 0u);
  for (std::size_t i = 0; i < kSmall.size(); i += 3) {
    std::string json = kSmall;
    json[i] = static_cast<char>(json[i] ^ (1 << (i % 7)));
    attempt(json);
  }
}

/// Added tokens of `bytes` each, numbered after the vocabulary.
std::string with_added_tokens(std::size_t count, std::size_t bytes) {
  const std::string json = testing::tiny_tokenizer_json(testing::kByteLevelStep);
  const io::JsonValue value = io::parse_json(json, "model.json");
  const io::JsonCursor file(value, "model.json");
  std::int64_t id = static_cast<std::int64_t>(file.at("model").at("vocab").size());
  std::string list = "[";
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    list += core::concat(i > 0 ? "," : "", R"({"id":)", id++, R"(,"content":")", number,
                         std::string(bytes - number.size(), '~'),
                         R"(","single_word":false,"lstrip":false,"rstrip":false,)",
                         R"("normalized":false,"special":true})");
  }
  const std::size_t begin = json.find("\"added_tokens\"");
  const std::size_t end = json.find(']', begin);
  return json.substr(0, begin) + "\"added_tokens\":" + list + json.substr(end);
}

// Each byte of an added token costs a node of the tree they are looked for in.
TEST(TokenizerJson, AddedTokensAreLimitedTogether) {
  EXPECT_NO_THROW(testing::load_json(with_added_tokens(1000, 500)));
  EXPECT_NE(message_of<FormatError>([] {
              testing::load_json(with_added_tokens(2200, 500));
            }).find("`added_tokens` holds tokens of more than 1048576 bytes together"),
            std::string::npos);
  EXPECT_NE(message_of<FormatError>([] {
              testing::load_json(with_added_tokens(66'000, 5));
            }).find("`added_tokens` holds 66000 tokens, expected at most 65536"),
            std::string::npos);
}

}  // namespace
}  // namespace distill::text
