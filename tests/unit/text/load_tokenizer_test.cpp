#include <gtest/gtest.h>

#include <thread>

#include <distill/core/error.h>

#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

using testing::kByteLevelStep;
using testing::load_json;
using testing::message_of;
using testing::TempFolder;
using testing::tiny_tokenizer_json;

TEST(LoadTokenizer, SaysWhatIsMissing) {
  const TempFolder folder;
  EXPECT_NE(
      message_of<InputError>([&] { load_tokenizer(folder / "nowhere"); }).find("not a folder"),
      std::string::npos);
  EXPECT_NE(
      message_of<InputError>([&] { load_tokenizer(folder.path()); }).find("no tokenizer.json"),
      std::string::npos);
  core::write_file_atomically(folder / "tokenizer.model", "x");
  const std::string message = message_of<FormatError>([&] { load_tokenizer(folder.path()); });
  EXPECT_NE(message.find("is no SentencePiece model"), std::string::npos) << message;
}

TEST(LoadTokenizer, InvalidUtf8IsAnInputError) {
  const auto tokenizer = load_json(tiny_tokenizer_json(kByteLevelStep));
  EXPECT_EQ(message_of<InputError>([&] { tokenizer->encode("ab\xC3", false); }),
            "text is not UTF-8 at byte 2; convert it before it is tokenized");
  EXPECT_THROW(tokenizer->encode("\xED\xA0\x80", false), InputError);
  EXPECT_THROW(tokenizer->encode_with_ranges("\xFF"), InputError);
}

TEST(LoadTokenizer, IdsOutOfRangeAreAnInputError) {
  const auto tokenizer = load_json(tiny_tokenizer_json(kByteLevelStep));
  const std::int64_t size = tokenizer->vocab_size();
  for (const std::int64_t id : {std::int64_t{-1}, size, std::int64_t{1} << 40, INT64_MIN}) {
    EXPECT_THROW(tokenizer->decode({id}), InputError);
    EXPECT_THROW(tokenizer->token_bytes(id), InputError);
    EXPECT_FALSE(tokenizer->is_special(id));
  }
  EXPECT_EQ(tokenizer->decode({size - 2}), "<think>");
}

TEST(LoadTokenizer, DecodingSkipsSpecialTokensOnRequest) {
  const auto tokenizer = load_json(tiny_tokenizer_json(kByteLevelStep));
  const TokenIds ids = tokenizer->encode("<|im_start|>a<think>", false);
  EXPECT_EQ(tokenizer->decode(ids), "a<think>");
  EXPECT_EQ(tokenizer->decode(ids, false), "<|im_start|>a<think>");
}

TEST(LoadTokenizer, TheFingerprintFollowsWhatChangesIds) {
  const std::string base = tiny_tokenizer_json(kByteLevelStep);
  const std::string print = load_json(base)->fingerprint();
  EXPECT_EQ(load_json(base)->fingerprint(), print);
  EXPECT_EQ(load_json(testing::replaced(base, R"("truncation":null)", R"("truncation" : null)"))
                ->fingerprint(),
            print);
  const std::pair<const char*, const char*> changes[] = {
      {R"(false,"use_regex":true})", R"(false,"use_regex":false})"},
      {R"("add_prefix_space":false,"use_regex":true})",
       R"("add_prefix_space":true,"use_regex":true})"},
      {R"("ignore_merges":false)", R"("ignore_merges":true)"},
      {R"(["t","h"],)", R"()"},
      {R"("lstrip":true)", R"("lstrip":false)"},
      {R"("normalizer":null,)", R"("normalizer":{"type":"NFC"},)"},
  };
  const std::string with_normalizer =
      testing::replaced(base, R"("pre_tokenizer")", R"("normalizer":null,"pre_tokenizer")");
  for (const auto& [from, to] : changes) {
    EXPECT_NE(load_json(testing::replaced(with_normalizer, from, to))->fingerprint(), print)
        << from;
  }
}

TEST(LoadTokenizer, SeveralThreadsGetTheSameIds) {
  const auto tokenizer = load_json(tiny_tokenizer_json(kByteLevelStep));
  std::string text;
  for (int i = 0; i < 200; ++i) text += "there is another thing " + std::to_string(i * 37) + "\n";
  const TokenIds expected = load_json(tiny_tokenizer_json(kByteLevelStep))->encode(text, false);
  std::vector<TokenIds> results(4);
  std::vector<std::thread> threads;
  for (TokenIds& result : results) {
    threads.emplace_back([&] { result = tokenizer->encode(text, false); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const TokenIds& result : results) EXPECT_EQ(result, expected);
}

}  // namespace
}  // namespace distill::text
