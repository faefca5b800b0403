#include <distill/text/tokenizer.h>

#include <distill/core/error.h>
#include <distill/core/paths.h>

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

std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
  if (!core::is_folder(folder)) {
    fail<InputError>(folder.string(), ": is not a folder, expected one with a tokenizer.json");
  }
  if (!core::path_exists(folder / "tokenizer.json")) {
    if (core::path_exists(folder / "tokenizer.model")) {
      fail<UnsupportedError>(
          (folder / "tokenizer.model").string(),
          ": SentencePiece models are not supported by this version; save the tokenizer with "
          "transformers as a byte-level tokenizer.json, or choose a model that has one");
    }
    fail<InputError>(folder.string(), ": has no tokenizer.json; copy it from the model's folder");
  }
  std::shared_ptr<detail::ByteLevelTokenizer> tokenizer =
      detail::read_tokenizer_json(folder / "tokenizer.json");
  tokenizer->set_roles(detail::read_special_roles(
      folder, {[&](std::string_view token) { return tokenizer->id_of(token); },
               [&](std::int64_t id) { return tokenizer->is_added(id); }, tokenizer->vocab_size()}));
  return tokenizer;
}

}  // namespace distill::text
