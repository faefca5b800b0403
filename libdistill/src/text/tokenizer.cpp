#include <distill/text/tokenizer.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>

#include "text/sentencepiece_tokenizer.h"
#include "text/tokenizer_json.h"

namespace distill::text {

TokenizedText Tokenizer::encode_with_ranges(std::string_view text, bool parse_special) const {
  TokenizedText result;
  result.ids = encode(text, false, parse_special);
  std::size_t at = 0;
  for (const std::int64_t id : result.ids) {
    const std::string bytes = token_bytes(id);
    if (text.substr(at, bytes.size()) != bytes) {
      fail<UnsupportedError>("token ", id, " at byte ", at, " does not spell the text; this ",
                             "tokenizer cannot tell where its ids come from");
    }
    result.ranges.push_back({at, at + bytes.size()});
    at += bytes.size();
  }
  return result;
}

namespace {

/// For tokenizers whose texts are what their tokens spell.
class SpelledStream final : public TokenStream {
 public:
  SpelledStream(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  std::string push(std::int64_t id) override {
    const std::string bytes = tokenizer_.token_bytes(id);
    return skip_special_ && tokenizer_.is_special(id) ? "" : decoder_.push(bytes);
  }
  std::string finish() override { return decoder_.finish(); }

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  StreamDecoder decoder_;
};

}  // namespace

std::unique_ptr<TokenStream> Tokenizer::stream(bool skip_special) const {
  return std::make_unique<SpelledStream>(*this, skip_special);
}

std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
  if (!core::is_folder(folder)) {
    fail<InputError>(folder.string(), ": is not a folder, expected one with a tokenizer.json");
  }
  if (!core::path_exists(folder / "tokenizer.json")) {
    if (core::path_exists(folder / "tokenizer.model")) return detail::read_sentencepiece(folder);
    fail<InputError>(folder.string(),
                     ": has no tokenizer.json and no tokenizer.model; copy it from ",
                     "the model's folder");
  }
  std::shared_ptr<detail::PipelineTokenizer> tokenizer =
      detail::read_tokenizer_json(folder / "tokenizer.json");
  tokenizer->set_roles(detail::read_special_roles(
      folder, {[&](std::string_view token) { return tokenizer->id_of(token); },
               [&](std::int64_t id) { return tokenizer->is_added(id); }, tokenizer->vocab_size()}));
  return tokenizer;
}

}  // namespace distill::text
