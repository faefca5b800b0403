// The published tokenizers in ../shared, where they are there.
#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/text/chat_template.h>

#include "support/shared_data.h"
#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

namespace fs = std::filesystem;

class SharedTokenizer : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto shared = testing::shared_folder();
    if (!shared) GTEST_SKIP() << "no shared folder";
    folder_ = *shared / "tokenizers" / GetParam();
    if (!fs::exists(folder_)) GTEST_SKIP() << folder_ << " is not there";
  }
  fs::path folder_;
};

/// Test names are letters and digits.
std::string name_of(const ::testing::TestParamInfo<const char*>& tested) {
  std::string name = tested.param;
  std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
  return name;
}

TEST_P(SharedTokenizer, GivesTheIdsAndTextsOfThePackage) {
  const auto tokenizer = load_tokenizer(folder_);
  const auto rows = testing::read_rows(folder_ / "vectors.jsonl");
  ASSERT_GE(rows.size(), 100u);
  for (const io::JsonValue& value : rows) {
    const io::JsonCursor row(value, GetParam());
    const std::string& text = row.at("text").as_string();
    SCOPED_TRACE(core::printable(text, 200));
    const TokenIds ids = testing::ids_of(row.at("ids"));
    EXPECT_EQ(tokenizer->encode(text, false, tokenizer->parses_special()), ids);
    EXPECT_EQ(tokenizer->encode_with_ranges(text, tokenizer->parses_special()).ids, ids);
    EXPECT_EQ(tokenizer->decode(ids, false), row.string_or("decoded", text));
    const auto stream = tokenizer->stream(false);
    std::string streamed;
    for (const std::int64_t id : ids) {
      const std::string part = stream->push(id);
      EXPECT_TRUE(core::is_utf8(part));
      streamed += part;
    }
    EXPECT_EQ(streamed + stream->finish(), row.string_or("decoded", text));
  }
}

INSTANTIATE_TEST_SUITE_P(Published, SharedTokenizer,
                         ::testing::Values("smollm2", "gpt2", "qwen2.5", "llama-3.1", "deepseek-r1",
                                           "llama-2", "mistral-v1", "mistral-v3", "stories260K",
                                           "spm-bpe-test", "spm-bytefallback-test",
                                           "spm-unigram-ja", "spm-unigram-test"),
                         name_of);

class SharedChat : public SharedTokenizer {};

TEST_P(SharedChat, GivesTheIdsOfTransformers) {
  const auto tokenizer = load_tokenizer(folder_);
  const auto chat = load_chat_template(folder_, "auto");
  ASSERT_NE(chat, nullptr);
  const std::string name = GetParam();
  EXPECT_EQ(chat->name(), name == "llama-3.1"     ? "llama3"
                          : name == "deepseek-r1" ? "deepseek"
                                                  : "chatml");
  const auto rows = testing::read_rows(folder_ / "chat_vectors.jsonl");
  ASSERT_GE(rows.size(), 8u);
  for (const io::JsonValue& value : rows) {
    const io::JsonCursor row(value, GetParam());
    std::vector<ChatMessage> messages;
    for (std::size_t i = 0; i < row.at("messages").size(); ++i) {
      const io::JsonCursor message = row.at("messages").at(i);
      messages.push_back({message.at("role").as_string(), message.at("content").as_string()});
    }
    const bool prompt = row.at("add_generation_prompt").as_bool();
    std::string text;
    for (const ChatSpan& span : chat->render(messages, prompt)) text += span.text;
    EXPECT_EQ(text, row.at("text").as_string());
    const EncodedChat encoded = encode_chat(*chat, *tokenizer, messages, prompt);
    EXPECT_EQ(encoded.ids, testing::ids_of(row.at("ids")));
    EXPECT_EQ(encoded.is_target.size(), encoded.ids.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Published, SharedChat,
                         ::testing::Values("smollm2", "qwen2.5", "llama-3.1", "deepseek-r1"),
                         name_of);

TEST(SharedTokenizerRoles, SmolLm2) {
  const auto shared = testing::shared_folder();
  if (!shared) GTEST_SKIP() << "no shared folder";
  const auto tokenizer = load_tokenizer(*shared / "tokenizers/smollm2");
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->pad_id(), 2);
  EXPECT_EQ(tokenizer->vocab_size(), 49152);
  EXPECT_TRUE(tokenizer->is_special(2));
  EXPECT_FALSE(tokenizer->is_special(400));
  EXPECT_EQ(tokenizer->id_of("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer->id_of("no such token"), -1);
  // The vocabulary has no token for the byte 4, and no unknown token: the package leaves it out.
  EXPECT_EQ(tokenizer->encode("!\x04!", false), tokenizer->encode("!!", false));
}

}  // namespace
}  // namespace distill::text
