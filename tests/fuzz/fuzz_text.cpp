#include <fstream>
#include <stdexcept>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>

#include "fuzz/fuzz.h"
#include "support/bpe_definition.h"
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

void bpe_merges(std::string_view bytes) {
  std::size_t at = 0;
  const auto take = [&](std::size_t below) {
    return at < bytes.size() ? static_cast<unsigned char>(bytes[at++]) % below : 0;
  };
  const auto take_text = [&](std::size_t num_chars) {
    std::string text;
    while (num_chars-- > 0) {
      text += testing::kOverlappingChars[take(std::size(testing::kOverlappingChars))];
    }
    return text;
  };
  testing::BpeDefinition bpe;
  const bool shuffle = take(2) == 1;
  for (std::size_t n = take(24); n > 0; --n) {
    const auto ids = bpe.encode(take_text(4));
    if (ids.size() < 2) continue;
    const std::size_t place = take(ids.size() - 1);
    bpe.add_rule(ids[place], ids[place + 1]);
    if (shuffle) std::swap(bpe.rules.back().rank, bpe.rules[take(bpe.rules.size())].rank);
  }
  const text::detail::BpeModel model(bpe.parts());
  do {
    const std::string text = take_text(1 + take(12));
    std::vector<text::detail::Symbol> symbols;
    model.encode(text, symbols);
    testing::BpeDefinition::Ids ids;
    for (const auto& symbol : symbols) ids.push_back(symbol.id);
    require(ids == bpe.encode(text), "ids are not those of the definition");
  } while (at < bytes.size());
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
