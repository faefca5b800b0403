// Against what the `sentencepiece` and `tokenizers` packages give: see
// tests/reference/gen_sentencepiece.py.
#include <map>

#include <gtest/gtest.h>

#include <distill/core/strings.h>

#include "unit/text/tiny_tokenizer.h"

namespace distill::text {
namespace {

using testing::ids_of;

std::vector<io::JsonValue> rows() {
  return testing::read_rows(testing::tiny_tokenizer_data() / "sentencepiece.jsonl");
}

TEST(SentencePieceVectors, TheModelGivesTheIdsOfThePackage) {
  const testing::TempFolder folder;
  std::filesystem::copy_file(testing::tiny_tokenizer_data() / "sentencepiece.model",
                             folder / "tokenizer.model");
  const auto tokenizer = load_tokenizer(folder.path());
  std::size_t compared = 0;
  for (const io::JsonValue& value : rows()) {
    const io::JsonCursor row(value, "sentencepiece.jsonl");
    if (!row.has("text")) continue;
    const std::string& text = row.at("text").as_string();
    EXPECT_EQ(tokenizer->encode(text, false, false), ids_of(row.at("model")))
        << core::printable(text, 200);
    ++compared;
  }
  EXPECT_GT(compared, 100u);
}

TEST(SentencePieceVectors, EachJsonFormGivesTheIdsAndTextsOfThePackage) {
  const std::string json =
      core::read_file(testing::tiny_tokenizer_data() / "sentencepiece.json", 1 << 20);
  std::map<std::string, std::shared_ptr<const Tokenizer>> forms;
  std::size_t compared = 0;
  for (const io::JsonValue& value : rows()) {
    const io::JsonCursor row(value, "sentencepiece.jsonl");
    if (row.has("steps")) {
      forms[row.at("name").as_string()] =
          testing::load_json(testing::replaced(json, "STEPS", row.at("steps").as_string()));
      continue;
    }
    const std::string& text = row.at("text").as_string();
    for (const auto& [name, tokenizer] : forms) {
      SCOPED_TRACE(name + ": " + core::printable(text, 200));
      const TokenIds ids = ids_of(row.at(name));
      EXPECT_EQ(tokenizer->encode(text, false), ids);
      EXPECT_EQ(tokenizer->decode(ids), row.at(name + " decoded").as_string());
      ++compared;
    }
  }
  EXPECT_EQ(forms.size(), 4u);
  EXPECT_GT(compared, 400u);
}

}  // namespace
}  // namespace distill::text
