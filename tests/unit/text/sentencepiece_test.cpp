#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

#include "support/sentencepiece_bytes.h"
#include "support/shared_data.h"
#include "text/sentencepiece_library.h"
#include "text/sentencepiece_model.h"
#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

using testing::message_of;
using testing::SentencePieceBytes;
using testing::TempFolder;

const std::string kSpace = "\xE2\x96\x81";

std::shared_ptr<const Tokenizer> load(const SentencePieceBytes& model,
                                      const std::string& config = "") {
  const TempFolder folder;
  std::ofstream(folder / "tokenizer.model", std::ios::binary) << model.write();
  if (!config.empty()) std::ofstream(folder / "tokenizer_config.json") << config;
  return load_tokenizer(folder.path());
}

SentencePieceBytes small_model(bool bytes = false) {
  return SentencePieceBytes::with({"ab", kSpace + "ab", kSpace + "a", kSpace, "a", "b"}, bytes);
}

TEST(SentencePiece, TheSmallModel) {
  const auto tokenizer = load(small_model());
  // 3 ab, 4 _ab, 5 _a, 6 _, 7 a, 8 b
  EXPECT_EQ(tokenizer->encode("ab", false), (TokenIds{4}));
  EXPECT_EQ(tokenizer->encode("ab  aab", false), (TokenIds{4, 6, 5, 3}));
  EXPECT_EQ(tokenizer->encode("", false), (TokenIds{}));
  EXPECT_EQ(tokenizer->encode("axyb", false), (TokenIds{5, 0, 8}));
  EXPECT_EQ(tokenizer->decode({4, 6, 5, 3}), "ab  aab");
  EXPECT_EQ(tokenizer->decode({5, 0, 8}), "a \xE2\x81\x87 b");
  EXPECT_EQ(tokenizer->vocab_size(), 9);
  EXPECT_EQ(tokenizer->id_of("</s>"), 2);
}

TEST(SentencePiece, BytesForUnknownCharacters) {
  const auto tokenizer = load(small_model(true));
  const std::int64_t byte = tokenizer->id_of("<0x00>");
  const TokenIds ids = tokenizer->encode("\xC3\xA9", false);
  ASSERT_EQ(ids, (TokenIds{tokenizer->id_of(kSpace), byte + 0xC3, byte + 0xA9}));
  EXPECT_EQ(tokenizer->decode(ids), "\xC3\xA9");
  EXPECT_EQ(tokenizer->token_bytes(ids[1]), "\xC3");
  const auto stream = tokenizer->stream();
  EXPECT_EQ(stream->push(ids[0]), "");
  EXPECT_EQ(stream->push(ids[1]), "");
  EXPECT_EQ(stream->push(ids[2]), "\xC3\xA9");
  EXPECT_EQ(stream->finish(), "");
  // A special token comes between the bytes.
  EXPECT_EQ(tokenizer->decode({byte + 0xC3, 1, byte + 0xA9}), "\xEF\xBF\xBD\xEF\xBF\xBD");
  // A byte that belongs to no character.
  EXPECT_EQ(tokenizer->decode({byte + 0xA9, byte + 'x'}), "\xEF\xBF\xBDx");
}

TEST(SentencePiece, SpecialTokensOfATextAreTextUnlessParsed) {
  const auto tokenizer = load(small_model());
  EXPECT_FALSE(tokenizer->parses_special());
  EXPECT_EQ(tokenizer->encode("ab</s>ab", false), (TokenIds{4, 2, 4}));
  EXPECT_EQ(tokenizer->encode("ab</s>ab", false, false), (TokenIds{4, 0, 3}));
  EXPECT_TRUE(tokenizer->is_special(2));
  EXPECT_EQ(tokenizer->decode({1, 4, 2}), "ab");
  EXPECT_EQ(tokenizer->decode({1, 4, 2}, false), "<s> ab</s>");
}

TEST(SentencePiece, TheConfigSaysWhatIsPutAround) {
  EXPECT_EQ(load(small_model())->encode("a", true), (TokenIds{1, 5}));
  EXPECT_EQ(load(small_model(), R"({"bos_token":"<s>","eos_token":"</s>","add_bos_token":false,
                                    "add_eos_token":true})")
                ->encode("a", true),
            (TokenIds{5, 2}));
  // Without `legacy` only the beginning of the whole text has a space put before it.
  const auto modern = load(small_model(), R"({"legacy":false,"bos_token":"<s>"})");
  EXPECT_EQ(modern->encode("ab</s>ab", false), (TokenIds{4, 2, 3}));
  EXPECT_EQ(modern->bos_id(), 1);
  const auto extended = load(small_model(), R"({"pad_token":"<pad>","added_tokens_decoder":{
      "9":{"content":"<pad>","special":true},"1":{"content":"<s>","special":true}}})");
  EXPECT_EQ(extended->pad_id(), 9);
  EXPECT_EQ(extended->encode("ab<pad>", false), (TokenIds{4, 9}));
  EXPECT_THROW(load(small_model(), R"({"added_tokens_decoder":{"11":{"content":"<pad>"}}})"),
               FormatError);
}

TEST(SentencePiece, RangesAreBytesOfTheText) {
  const auto tokenizer = load(small_model());
  const TokenizedText tokens = tokenizer->encode_with_ranges("ab  aab</s>ab");
  ASSERT_EQ(tokens.ids, (TokenIds{4, 6, 5, 3, 2, 4}));
  const std::pair<std::size_t, std::size_t> expected[] = {{0, 2}, {2, 3},  {3, 5},
                                                          {5, 7}, {7, 11}, {11, 13}};
  for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
    EXPECT_EQ(std::pair(tokens.ranges[i].begin, tokens.ranges[i].end), expected[i]) << i;
  }
}

TEST(SentencePiece, UnigramModelsRunInTheLibrary) {
  SentencePieceBytes model = small_model();
  model.model_type = 1;
  const auto tokenizer = load(model);
  EXPECT_EQ(tokenizer->encode("ab", false), (TokenIds{4}));
  EXPECT_EQ(tokenizer->encode_with_ranges("ab ab").ranges.back().end, 5u);
  EXPECT_NE(tokenizer->fingerprint(), load(small_model())->fingerprint());
  EXPECT_THROW(load(model, R"({"legacy":false})"), UnsupportedError);
}

TEST(SentencePiece, InvalidUtf8IsAnInputError) {
  EXPECT_THROW(load(small_model())->encode("\xFF", false), InputError);
  SentencePieceBytes model = small_model();
  model.model_type = 1;
  EXPECT_THROW(load(model)->encode("a\xC3", false), InputError);
}

TEST(SentencePiece, BadModelsAreRefused) {
  const auto changed = [](auto change) {
    SentencePieceBytes model = small_model();
    change(model);
    return message_of<InputError>([&] { load(model); });
  };
  using Model = SentencePieceBytes;
  const std::pair<std::string, const char*> cases[] = {
      {changed([](Model& m) { m.pieces.push_back({"ab"}); }), "pieces 3 and 9 are both `ab`"},
      {changed([](Model& m) { m.pieces.push_back({""}); }), "is empty"},
      {changed([](Model& m) { m.pieces.push_back({std::string(200'000, 'x')}); }),
       "longer than 512"},
      {changed([](Model& m) { m.pieces.push_back({std::string("a\0b", 3)}); }), "NUL"},
      {changed([](Model& m) { m.pieces.push_back({"\xFF"}); }), "not UTF-8"},
      {changed([](Model& m) { m.pieces[4].score = NAN; }), "not finite"},
      {changed([](Model& m) { m.pieces[4].kind = 9; }), "of the kind 9"},
      {changed([](Model& m) { m.pieces[0].kind = 1; }), "no unknown piece"},
      {changed([](Model& m) { m.pieces[1].kind = 2; }), "two unknown pieces"},
      {changed([](Model& m) { m.pieces.clear(); }), "holds no pieces"},
      {changed([](Model& m) { m.byte_fallback = true; }), "with 0 byte pieces"},
      {changed([](Model& m) { m.model_type = 3; }), "type 3"},
      {changed([](Model& m) { m.char_map = "abc"; }), "cut short"},
      {changed([](Model& m) { m.char_map = std::string("\xFF\xFF\xFF\x7F", 4); }), "wrong size"},
      {changed([](Model& m) { m.char_map = std::string("\4\0\0\0\0\4\0\0x\0", 10); }),
       "points outside itself"},
  };
  for (const auto& [message, expected] : cases) {
    EXPECT_NE(message.find(expected), std::string::npos) << message;
    EXPECT_NE(message.find("tokenizer.model"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(SentencePiece, DamagedModelsNeverCrash) {
  const std::string bytes = small_model().write();
  const auto attempt = [](const std::string& damaged) {
    try {
      detail::read_sentencepiece_model(damaged, "m");
      const TempFolder folder;
      std::ofstream(folder / "tokenizer.model", std::ios::binary) << damaged;
      load_tokenizer(folder.path())->encode("ab \xC3\xA9", true);
    } catch (const InputError&) {
    }
  };
  for (std::size_t size = 0; size < bytes.size(); ++size) attempt(bytes.substr(0, size));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    attempt(damaged);
  }
}

// Our own BPE against the library, on texts that hold everything.
TEST(SentencePiece, OwnBpeGivesTheIdsAndRangesOfTheLibrary) {
  const auto shared = testing::shared_folder();
  if (!shared) GTEST_SKIP() << "no shared folder";
  core::RandomState random(11);
  for (const std::string name : {"llama-2", "mistral-v3", "stories260K"}) {
    const auto folder = *shared / "tokenizers" / name;
    const auto tokenizer = load_tokenizer(folder);
    const std::string bytes = core::read_file(folder / "tokenizer.model", 1 << 20);
    const detail::SentencePieceLibrary library(bytes, detail::read_sentencepiece_model(bytes, name),
                                               name);
    const std::string parts[] = {"a",
                                 "the",
                                 " ",
                                 "  ",
                                 "\n",
                                 "1",
                                 kSpace,
                                 "\xC3\xA9",
                                 "\xE4\xBD\xA0",
                                 "\xF0\x9F\x98\x80",
                                 std::string(1, '\0'),
                                 "\xCC\x81",
                                 "ing",
                                 "<s>",
                                 "Th",
                                 ".",
                                 "\t",
                                 "er"};
    for (int trial = 0; trial < 500; ++trial) {
      std::string text;
      for (std::uint64_t n = random.below(60); n > 0; --n) {
        text += parts[static_cast<std::size_t>(random.below(std::size(parts)))];
      }
      TokenIds ids;
      library.encode(text, 0, ids, nullptr);
      const TokenizedText own = tokenizer->encode_with_ranges(text, false);
      ASSERT_EQ(own.ids, ids) << name << " " << core::printable(text, 300);
      for (std::size_t i = 1; i < own.ranges.size(); ++i) {
        ASSERT_LE(own.ranges[i - 1].begin, own.ranges[i].begin);
      }
    }
  }
}

}  // namespace
}  // namespace distill::text
