#include "text/special_roles.h"

#include <gtest/gtest.h>

#include <distill/core/error.h>
#include <distill/core/files.h>

#include "support/temp_folder.h"

namespace distill::text::detail {
namespace {

using testing::message_of;
using testing::TempFolder;

/// Knows <s> = 1, </s> = 2 and <pad> = 3, and `word` = 4, which is no added token.
const TokenLookup kTokens = {[](std::string_view token) -> std::int64_t {
                               if (token == "<s>") return 1;
                               if (token == "</s>") return 2;
                               if (token == "<pad>") return 3;
                               return token == "word" ? 4 : -1;
                             },
                             [](std::int64_t id) { return id < 4; }, 5};

TEST(SpecialRoles, TextsAndObjectsOfTokenizerConfig) {
  const TempFolder folder;
  core::write_file_atomically(
      folder / "tokenizer_config.json",
      R"({"bos_token":"<s>","eos_token":{"content":"</s>","lstrip":false}})");
  const SpecialRoles roles = read_special_roles(folder.path(), kTokens);
  EXPECT_EQ(roles.bos, 1);
  EXPECT_EQ(roles.eos, 2);
  EXPECT_EQ(roles.pad, -1);
}

TEST(SpecialRoles, EachFileOnlyFillsWhatTheOnesBeforeDoNotMention) {
  const TempFolder folder;
  core::write_file_atomically(folder / "tokenizer_config.json", R"({"bos_token":null})");
  core::write_file_atomically(folder / "special_tokens_map.json",
                              R"({"bos_token":"<s>","pad_token":"<pad>"})");
  core::write_file_atomically(folder / "generation_config.json",
                              R"({"eos_token_id":[2,1],"pad_token_id":0})");
  core::write_file_atomically(folder / "config.json", R"({"bos_token_id":1,"eos_token_id":0})");
  const SpecialRoles roles = read_special_roles(folder.path(), kTokens);
  EXPECT_EQ(roles.bos, -1);
  EXPECT_EQ(roles.eos, 2);
  EXPECT_EQ(roles.pad, 3);
}

TEST(SpecialRoles, NothingThereMeansNone) {
  const TempFolder folder;
  const SpecialRoles roles = read_special_roles(folder.path(), kTokens);
  EXPECT_EQ(roles.bos, -1);
  EXPECT_EQ(roles.eos, -1);
}

TEST(SpecialRoles, RefusesWhatDoesNotFitTheTokenizer) {
  struct Case {
    const char* file;
    const char* json;
    const char* expected;
  };
  const Case cases[] = {
      {"tokenizer_config.json", R"({"eos_token":"<x>"})", "which the tokenizer does not have"},
      {"tokenizer_config.json", R"({"eos_token":"word"})", "which is no added token"},
      {"tokenizer_config.json", R"({"eos_token":7})", "must be a string"},
      {"tokenizer_config.json", R"({"eos_token":{"text":"</s>"}})", "eos_token.content"},
      {"tokenizer_config.json", R"([])", "must be an object"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"7":{"content":"</s>"}}})",
       "whose id in the tokenizer is 2"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"2x":{"content":"</s>"}}})",
       "expected an id"},
      {"config.json", R"({"eos_token_id":5})", "eos_token_id"},
      {"config.json", R"({"eos_token_id":-4})", "eos_token_id"},
      {"config.json", R"({"eos_token_id":"2"})", "eos_token_id"},
  };
  for (const Case& bad : cases) {
    const TempFolder folder;
    core::write_file_atomically(folder / bad.file, bad.json);
    const std::string message =
        message_of<InputError>([&] { read_special_roles(folder.path(), kTokens); });
    EXPECT_NE(message.find(bad.expected), std::string::npos) << bad.json << "\n" << message;
    EXPECT_NE(message.find(bad.file), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace distill::text::detail
