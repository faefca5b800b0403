// Long runs of one thing are where tokenizers take quadratic time. Growth is measured, not time.
#include <gtest/gtest.h>

#include <ctime>

#include <distill/core/strings.h>

#include "support/sentencepiece_bytes.h"
#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

/// Seconds that a machine under load may add to what takes milliseconds; quadratic time takes many
/// seconds for a megabyte.
constexpr double kSlack = 0.25;

/// Of this process, so that others do not count.
double seconds_for(const Tokenizer& tokenizer, const std::string& text, int times = 2) {
  double best = 1e9;
  for (int i = 0; i < times; ++i) {
    const std::clock_t start = std::clock();
    tokenizer.encode(text, false);
    best = std::min(best, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

std::string repeated(const std::string& unit, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

TEST(LinearTime, LongRunsOfOneThing) {
  const std::string kSplits[] = {
      std::string(testing::kByteLevelStep),
      R"("normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false})",
      R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":)"
      R"("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},)"
      R"("behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})",
  };
  const std::string units[] = {"a",
                               " ",
                               "7",
                               "\n",
                               "\n ",
                               "'",
                               "th",
                               "<",
                               "<|im_start",
                               "e\xCC\x81\xCC\x96",
                               "\xCC\x81\xCC\x96",
                               "\xE4\xBD\xA0"};
  constexpr std::size_t kSmall = 8000;
  constexpr std::size_t kFactor = 8;
  for (const std::string& split : kSplits) {
    const auto tokenizer = testing::load_json(testing::tiny_tokenizer_json(split));
    for (const std::string& unit : units) {
      const double small = seconds_for(*tokenizer, repeated(unit, kSmall));
      const double large = seconds_for(*tokenizer, repeated(unit, kSmall * kFactor));
      // Quadratic time would be a factor of 64; n log n and caches stay well below 32.
      EXPECT_LT(large, small * 4 * kFactor + kSlack / 5) << core::printable(unit) << " " << split;
    }
  }
}

constexpr std::size_t kMegabyte = std::size_t{1} << 20;

/// A megabyte of each: 16 times the text may take 40 times as long; quadratic time would be 256.
void expect_near_linear_to_a_megabyte(const Tokenizer& tokenizer, const std::string& name,
                                      const std::string& added) {
  constexpr std::size_t kSmall = kMegabyte / 16;
  const std::string units[] = {"a", " ", "ab", "7", "\xCC\x81", "\xE4\xBD\xA0", added};
  for (const std::string& unit : units) {
    const double small = seconds_for(tokenizer, repeated(unit, kSmall));
    const double large = seconds_for(tokenizer, repeated(unit, kMegabyte), 1);
    EXPECT_LT(large, 40 * small + kSlack) << name << ": " << core::printable(unit);
  }
}

TEST(LinearTime, AMegabyteThroughAByteLevelTokenizer) {
  const auto tokenizer = testing::load_json(testing::tiny_tokenizer_json(testing::kByteLevelStep));
  expect_near_linear_to_a_megabyte(*tokenizer, "byte-level", "<|im_start|>");
  // One word of a megabyte, and every added token found.
  EXPECT_EQ(tokenizer->encode(repeated("<|im_start|>", kMegabyte), false).size(),
            (kMegabyte + 11) / 12);
}

std::shared_ptr<const Tokenizer> sentencepiece_tokenizer(bool unigram, bool bytes) {
  const std::string space = "\xE2\x96\x81";
  auto model = testing::SentencePieceBytes::with(
      {"ab", "aa", "abab", "aaaa", space + space, space + "a", "77", space, "a", "b", "7"}, bytes);
  model.model_type = unigram ? 1 : 2;
  const testing::TempFolder folder;
  std::ofstream(folder / "tokenizer.model", std::ios::binary) << model.write();
  return load_tokenizer(folder.path());
}

TEST(LinearTime, AMegabyteThroughASentencePieceModel) {
  const auto tokenizer = sentencepiece_tokenizer(false, true);
  expect_near_linear_to_a_megabyte(*tokenizer, "SentencePiece BPE", "</s>");
  EXPECT_EQ(tokenizer->encode(repeated("</s>", kMegabyte), false), TokenIds(kMegabyte / 4, 2));
}

// The library alone needs quadratic time for a run of characters that are no piece.
TEST(LinearTime, UnknownCharactersThroughAUnigramModel) {
  const auto tokenizer = sentencepiece_tokenizer(true, false);
  constexpr std::size_t kSmall = kMegabyte / 64;
  for (const std::string unit : {"8", "\xCC\x81"}) {
    const double small = seconds_for(*tokenizer, repeated(unit, kSmall));
    const double large = seconds_for(*tokenizer, repeated(unit, 16 * kSmall), 1);
    EXPECT_LT(large, 40 * small + kSlack) << core::printable(unit);
    const TokenizedText tokens = tokenizer->encode_with_ranges(repeated(unit, kSmall));
    EXPECT_EQ(tokens.ids, (TokenIds{tokenizer->id_of("\xE2\x96\x81"), 0}));
    EXPECT_EQ(tokens.ranges.back().end, kSmall);
  }
}

}  // namespace
}  // namespace distill::text
