// tokenizer.json files of SentencePiece models. The expected ids are those of tokenizers 0.23.3.
#include <gtest/gtest.h>

#include <distill/core/error.h>

#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

using testing::load_json;
using testing::message_of;
using testing::replaced;

const std::string kSpace = "\xE2\x96\x81";

std::string bytes_of_vocab() {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) {
    char token[8];
    std::snprintf(token, sizeof token, "<0x%02X>", byte);
    text += "\"" + std::string(token) + "\":" + std::to_string(byte + 3) + ",";
  }
  return text;
}

/// Ids: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 bytes, 259 _, 260 a, 261 b, 262 _a, 263 ab, 264 _ab.
std::string json(const std::string& normalizer, const std::string& pre_tokenizer,
                 const std::string& decoder) {
  return R"({"version":"1.0","added_tokens":[{"id":2,"content":"</s>","single_word":false,)"
         R"("lstrip":false,"rstrip":false,"normalized":false,"special":true}],"normalizer":)" +
         normalizer + R"(,"pre_tokenizer":)" + pre_tokenizer +
         R"(,"post_processor":null,"decoder":)" + decoder +
         R"(,"model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,)"
         R"("vocab":{"<unk>":0,"<s>":1,"</s>":2,)" +
         bytes_of_vocab() + "\"" + kSpace + R"(":259,"a":260,"b":261,")" + kSpace +
         R"(a":262,"ab":263,")" + kSpace + R"(ab":264},"merges":["a b",")" + kSpace + R"( ab",")" +
         kSpace + R"( a"]}})";
}

const std::string kOldNormalizer =
    R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":")" + kSpace +
    R"("},{"type":"Replace","pattern":{"String":" "},"content":")" + kSpace + R"("}]})";
const std::string kDecoder =
    R"({"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":")" + kSpace +
    R"("},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]})";

std::string metaspace(const std::string& scheme, bool split) {
  return R"({"type":"Metaspace","replacement":")" + kSpace + R"(","prepend_scheme":")" + scheme +
         R"(","split":)" + (split ? "true}" : "false}");
}

TEST(Metaspace, OldFormWithANormalizer) {
  const auto tokenizer = load_json(json(kOldNormalizer, "null", kDecoder));
  EXPECT_EQ(tokenizer->encode("ab ab", false), (TokenIds{264, 264}));
  EXPECT_EQ(tokenizer->encode(" ab", false), (TokenIds{259, 264}));
  EXPECT_EQ(tokenizer->encode("a</s>a", false), (TokenIds{262, 2, 262}));
  EXPECT_EQ(tokenizer->encode("\xC3\xA9", false), (TokenIds{259, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer->encode("", false), (TokenIds{}));
}

TEST(Metaspace, NewFormWithAPreTokenizer) {
  const auto always = load_json(json("null", metaspace("always", false), kDecoder));
  EXPECT_EQ(always->encode("ab ab", false), (TokenIds{264, 264}));
  EXPECT_EQ(always->encode(" ab", false), (TokenIds{264}));
  EXPECT_EQ(always->encode("a</s>a", false), (TokenIds{262, 2, 262}));
  const auto first = load_json(json("null", metaspace("first", true), kDecoder));
  EXPECT_EQ(first->encode("a</s>a", false), (TokenIds{262, 2, 260}));
  const auto never = load_json(json("null", metaspace("never", true), kDecoder));
  EXPECT_EQ(never->encode("ab a", false), (TokenIds{263, 262}));
}

TEST(Metaspace, DecodingIsTheInverseAndStreams) {
  const auto tokenizer = load_json(json(kOldNormalizer, "null", kDecoder));
  for (const std::string text :
       {"ab  ab", " a", "\xC3\xA9t\xC3\xA9", "\xF0\x9F\x98\x80 a", "\n\n"}) {
    const TokenIds ids = tokenizer->encode(text, false);
    EXPECT_EQ(tokenizer->decode(ids), text);
    const auto stream = tokenizer->stream();
    std::string streamed;
    for (const std::int64_t id : ids) {
      const std::string part = stream->push(id);
      EXPECT_TRUE(core::is_utf8(part));
      streamed += part;
    }
    EXPECT_EQ(streamed + stream->finish(), text);
  }
  // One broken byte spoils its run, as in the package.
  EXPECT_EQ(tokenizer->decode({260, 3 + 'x', 3 + 0xC3, 261}),
            "a\xEF\xBF\xBD\xEF\xBF\xBD"
            "b");
  const auto metaspace_decoder = load_json(json(kOldNormalizer, "null", metaspace("always", true)));
  EXPECT_EQ(metaspace_decoder->decode({264, 264}), "ab ab");
}

TEST(Metaspace, RangesAreBytesOfTheText) {
  for (const auto& form : {json(kOldNormalizer, "null", kDecoder),
                           json("null", metaspace("always", false), kDecoder)}) {
    const TokenizedText tokens = load_json(form)->encode_with_ranges("ab ab</s>");
    ASSERT_EQ(tokens.ids, (TokenIds{264, 264, 2}));
    EXPECT_EQ(tokens.ranges[0].end, 2u);
    EXPECT_EQ(tokens.ranges[1].begin, 2u);
    EXPECT_EQ(tokens.ranges[1].end, 5u);
    EXPECT_EQ(tokens.ranges[2].begin, 5u);
  }
}

TEST(Metaspace, WhatMayGiveOtherIdsIsRefused) {
  const std::string base = json(kOldNormalizer, "null", kDecoder);
  const std::pair<std::string, const char*> cases[] = {
      {replaced(base, R"("<0x0A>":13,)", ""), "255 of the 256 tokens"},
      {replaced(base, R"(["a b")", R"(["a b","<unk> a")"), "<unk>a"},
      {replaced(base, R"({"type":"Fuse"},)", ""), "after Fuse"},
      {replaced(base, R"("stop":0)", R"("stop":1)"), "stop"},
      {replaced(base, R"({"type":"ByteFallback"})", R"({"type":"CTC"})"), "`CTC`"},
      {replaced(base, R"({"String":" "})", R"({"Regex":" +"})"), "`Regex`"},
  };
  for (const auto& [text, expected] : cases) {
    const std::string message = message_of<InputError>([&, &t = text] { load_json(t); });
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace distill::text
