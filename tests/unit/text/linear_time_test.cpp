// Long runs of one thing are where tokenizers take quadratic time. Growth is measured, not time.
#include <gtest/gtest.h>

#include <ctime>

#include <distill/core/strings.h>

#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

/// Of this process, so that others do not count.
double seconds_for(const Tokenizer& tokenizer, const std::string& text) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
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
  constexpr std::size_t kSmall = 15000;
  constexpr std::size_t kFactor = 8;
  for (const std::string& split : kSplits) {
    const auto tokenizer = testing::load_json(testing::tiny_tokenizer_json(split));
    for (const std::string& unit : units) {
      const double small = seconds_for(*tokenizer, repeated(unit, kSmall));
      const double large = seconds_for(*tokenizer, repeated(unit, kSmall * kFactor));
      // Quadratic time would be a factor of 64; n log n and caches stay well below 32.
      EXPECT_LT(large, small * 4 * kFactor) << core::printable(unit) << " " << split;
    }
  }
}

}  // namespace
}  // namespace distill::text
