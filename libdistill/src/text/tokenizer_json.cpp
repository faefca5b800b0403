#include "text/tokenizer_json.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

#include "text/bpe_reader.h"
#include "text/json_members.h"

namespace distill::text::detail {
namespace {

using core::concat;
using core::printable;

constexpr std::size_t kLongestAddedToken = 512;  // bytes; bounds the search at each place of a text
// All added tokens together: each byte takes some 70 in the tree they are looked for in.
constexpr std::size_t kMostAddedTokens = 65'536;
constexpr std::size_t kMostAddedBytes = std::size_t{1} << 20;

/// Vocabularies of a million tokens and their merges.
constexpr io::JsonLimits kTokenizerLimits{.max_bytes = std::uint64_t{256} << 20,
                                          .max_values = 8'000'000};

AddedToken read_added_token(const io::JsonCursor& node) {
  refuse_unknown_members(
      node, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  AddedToken token;
  token.id = static_cast<std::int32_t>(node.at("id").int_in(0, (1 << 30)));
  token.content = node.at("content").as_string();
  token.special = node.at("special").as_bool();
  token.normalized = node.at("normalized").as_bool();
  token.lstrip = node.at("lstrip").as_bool();
  token.rstrip = node.at("rstrip").as_bool();
  token.single_word = node.at("single_word").as_bool();
  if (token.content.empty() || token.content.size() > kLongestAddedToken) {
    node.at("content").fail(
        concat("is ", token.content.size(), " bytes long, expected 1 to ", kLongestAddedToken));
  }
  return token;
}

/// The `tokenizers` package numbers added tokens itself, whatever the file says: a token of the
/// vocabulary keeps its id, the others follow one by one.
std::vector<AddedToken> read_added_tokens(const io::JsonCursor& list, const io::JsonObject& vocab,
                                          const std::vector<std::string>& by_id) {
  std::vector<AddedToken> tokens;
  std::unordered_map<std::string, std::int32_t> seen;
  auto next = static_cast<std::int64_t>(vocab.size());
  std::size_t bytes = 0;
  if (list.as_array().size() > kMostAddedTokens) {
    list.fail(concat("holds ", list.size(), " tokens, expected at most ", kMostAddedTokens));
  }
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    AddedToken token = read_added_token(list.at(i));
    bytes += token.content.size();
    if (bytes > kMostAddedBytes) {
      list.fail(concat("holds tokens of more than ", kMostAddedBytes, " bytes together"));
    }
    if (!seen.emplace(token.content, token.id).second) {
      list.at(i).fail(concat("repeats the token `", printable(token.content), "`"));
    }
    const io::JsonValue* in_vocab = vocab.find(token.content);
    const std::int64_t expected = in_vocab ? std::get<std::int64_t>(in_vocab->storage()) : next;
    if (token.id != expected) {
      list.at(i).at("id").fail(concat("is ", token.id, " for `", printable(token.content),
                                      "`, expected ", expected, " as the vocabulary has it"));
    }
    const auto index = static_cast<std::size_t>(expected);
    if (!in_vocab && index < by_id.size() && !by_id[index].empty()) {
      list.at(i).at("id").fail(
          concat("is ", token.id, ", which is also the id of `", printable(by_id[index]), "`"));
    }
    next = std::max(next, expected + 1);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

/// A member that may be missing; null then.
io::JsonCursor member(const io::JsonCursor& file, std::string_view name,
                      const io::JsonValue& null_value) {
  return file.has(name) ? file.at(name) : io::JsonCursor(null_value, file.source());
}

}  // namespace

std::unique_ptr<PipelineTokenizer> read_tokenizer_json(const std::filesystem::path& path) {
  const io::JsonValue value = io::read_json_file(path, kTokenizerLimits);
  const io::JsonCursor file(value, path.string());
  // Truncation and padding are settings of a call, and transformers resets them.
  refuse_unknown_members(file, {"version", "truncation", "padding", "added_tokens", "normalizer",
                                "pre_tokenizer", "post_processor", "decoder", "model"});
  if (file.string_or("version", "1.0") != "1.0") {
    refuse(file.at("version"), "is not 1.0, the only version that is supported");
  }
  const io::JsonValue null_value;
  TokenizerParts parts;
  parts.pre_tokenizer = PreTokenizer(member(file, "pre_tokenizer", null_value));
  parts.normalizer = Normalizer(member(file, "normalizer", null_value));
  if (parts.pre_tokenizer.looks_at_start() && parts.normalizer.may_remove()) {
    refuse(file.at("pre_tokenizer"),
           "puts a space before the first word alone, which is not "
           "supported after a normalizer that removes text");
  }
  const io::JsonCursor model = file.at("model");
  parts.model = read_bpe(model, parts.pre_tokenizer.is_byte_level());
  parts.decoder = read_decoder(member(file, "decoder", null_value));
  const io::JsonObject& vocab = model.at("vocab").as_object();
  if (file.has("added_tokens")) {
    parts.added = read_added_tokens(file.at("added_tokens"), vocab, parts.model.tokens);
  }
  const auto id_of = [&](std::string_view text) -> std::int64_t {
    const auto token = std::ranges::find(parts.added, text, &AddedToken::content);
    if (token != parts.added.end()) return token->id;
    const io::JsonValue* id = vocab.find(text);
    return id ? std::get<std::int64_t>(id->storage()) : -1;
  };
  parts.frame = read_post_processor(member(file, "post_processor", null_value), id_of);
  return std::make_unique<PipelineTokenizer>(std::move(parts));
}

}  // namespace distill::text::detail
