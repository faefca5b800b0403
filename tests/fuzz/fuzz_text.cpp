#include <fstream>
#include <stdexcept>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "fuzz/fuzz.h"
#include "support/sentencepiece_bytes.h"
#include "support/temp_folder.h"
#include "unit/text/tiny_tokenizer.h"

namespace distill::fuzz {
namespace {

constexpr std::string_view kText = "the  dog's 12 \xC3\xA9 \xE4\xBD\xA0<|im_start|>\n x";

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void check_round_trip(const text::Tokenizer& tokenizer, std::string_view text) {
  const text::TokenIds ids = tokenizer.encode(text, true);
  require(tokenizer.encode_with_ranges(text).ids == tokenizer.encode(text, false),
          "ranges come with other ids");
  std::string streamed;
  const auto stream = tokenizer.stream(false);
  for (const std::int64_t id : ids) {
    const std::string part = stream->push(id);
    require(core::is_utf8(part), "half a character was given out");
    streamed += part;
  }
  require(streamed + stream->finish() == tokenizer.decode(ids, false), "a stream differs");
}

void load_and_use(std::string_view name, std::string_view bytes) {
  const testing::TempFolder folder;
  std::ofstream(folder / std::string(name), std::ios::binary) << bytes;
  try {
    check_round_trip(*text::load_tokenizer(folder.path()), kText);
  } catch (const InputError&) {
  }
}

}  // namespace

void tokenizer_json(std::string_view bytes) {
  load_and_use("tokenizer.json", bytes);
}

void tokenizer_model(std::string_view bytes) {
  load_and_use("tokenizer.model", bytes);
}

void bpe_encoder(std::string_view bytes) {
  static const auto byte_level =
      testing::load_json(testing::tiny_tokenizer_json(testing::kByteLevelStep));
  static const auto pieces = [] {
    const testing::TempFolder folder;
    std::ofstream(folder / "tokenizer.model", std::ios::binary)
        << testing::SentencePieceBytes::with(
               {"th", "the", "\xE2\x96\x81the", "\xE2\x96\x81t", "\xE2\x96\x81", "t", "h", "e"},
               true)
               .write();
    return text::load_tokenizer(folder.path());
  }();
  for (const auto& tokenizer : {byte_level, pieces}) {
    try {
      check_round_trip(*tokenizer, bytes);
      const std::string back = tokenizer->decode(tokenizer->encode(bytes, false, false), false);
      require(back == bytes || bytes.find("<tok") != std::string_view::npos || tokenizer == pieces,
              "decoding is not the inverse");
    } catch (const InputError&) {
      require(!core::is_utf8(bytes), "a text was refused");
    }
  }
}

void chat_template(std::string_view bytes) {
  const testing::TempFolder folder;
  std::ofstream(folder / "chat_template.jinja", std::ios::binary) << bytes;
  try {
    const auto chat = text::load_chat_template(folder.path(), "auto");
    if (chat) chat->render({{"user", "a"}, {"assistant", "b"}}, true);
  } catch (const InputError&) {
  }
}

}  // namespace distill::fuzz
