#include "text/bpe_reader.h"

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "text/detokenizer.h"
#include "text/json_members.h"

namespace distill::text::detail {
namespace {

using core::concat;
using core::printable;

void require_empty(const io::JsonCursor& model, std::string_view name) {
  if (!model.string_or(name, "").empty()) refuse(model.at(name), "is not supported; expected null");
}

void check_settings(const io::JsonCursor& model) {
  if (model.has("type") && type_of(model) != "BPE") refuse_type(model, "model", "BPE");
  refuse_unknown_members(
      model, {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
              "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"});
  require_empty(model, "continuing_subword_prefix");
  require_empty(model, "end_of_word_suffix");
  if (model.double_or("dropout", 0) != 0) {
    refuse(model.at("dropout"), "is not supported; expected null");
  }
}

/// Ids may have gaps, but not so many that a small file asks for a lot of memory.
std::vector<std::string> read_vocabulary(const io::JsonCursor& vocab) {
  const auto& members = vocab.as_object().members();
  const std::int64_t limit = 2 * static_cast<std::int64_t>(members.size()) + 1024;
  std::vector<std::string> tokens;
  for (const auto& [token, value] : members) {
    const auto* id = std::get_if<std::int64_t>(&value.storage());
    if (!id || *id < 0 || *id >= limit) vocab.at(token).int_in(0, limit - 1);
    if (token.empty()) vocab.fail("holds an empty token");
    const auto index = static_cast<std::size_t>(*id);
    if (index >= tokens.size()) tokens.resize(index + 1);
    if (!tokens[index].empty()) {
      vocab.fail(concat("gives the id ", *id, " to both `", printable(tokens[index]), "` and `",
                        printable(token), "`"));
    }
    tokens[index] = token;
  }
  if (tokens.empty()) vocab.fail("is empty");
  return tokens;
}

struct MergePair {
  std::string_view left;
  std::string_view right;
};

/// `"a b"` or `["a", "b"]`.
MergePair read_pair(const io::JsonValue& value, const io::JsonCursor& merges, std::size_t index) {
  if (const auto* line = std::get_if<std::string>(&value.storage())) {
    const std::string_view text = *line;
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
      merges.at(index).fail(
          concat("is `", printable(text), "`, expected two tokens and one space"));
    }
    return {text.substr(0, space), text.substr(space + 1)};
  }
  const auto* pair = std::get_if<io::JsonArray>(&value.storage());
  if (!pair || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) {
    merges.at(index).fail(
        concat("must be a text `a b` or an array of two texts, it is ", value.kind_name()));
  }
  return {std::get<std::string>((*pair)[0].storage()), std::get<std::string>((*pair)[1].storage())};
}

std::vector<MergeRule> read_merges(const io::JsonCursor& merges, const io::JsonObject& vocab) {
  const auto& values = merges.as_array();
  std::vector<MergeRule> rules;
  rules.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto* line = std::get_if<std::string>(&values[i].storage());
    if (line && line->starts_with("#version")) continue;
    const MergePair pair = read_pair(values[i], merges, i);
    const auto id_of = [&](std::string_view token) {
      const io::JsonValue* id = vocab.find(token);
      if (!id) {
        merges.at(i).fail(
            concat("needs the token `", printable(token), "`, which is not in the vocabulary"));
      }
      return static_cast<std::int32_t>(std::get<std::int64_t>(id->storage()));
    };
    const auto rank = static_cast<std::int32_t>(rules.size());
    rules.push_back({id_of(pair.left), id_of(pair.right), rank,
                     id_of(std::string(pair.left) + std::string(pair.right))});
  }
  return rules;
}

/// The ids of the tokens for bytes, all or none.
std::vector<std::int32_t> read_byte_ids(const io::JsonCursor& model) {
  std::vector<std::int32_t> ids;
  for (int byte = 0; byte < 256; ++byte) {
    const io::JsonValue* id = model.at("vocab").as_object().find(byte_token(byte));
    if (id) ids.push_back(static_cast<std::int32_t>(std::get<std::int64_t>(id->storage())));
  }
  if (!ids.empty() && ids.size() != 256) {
    refuse(model.at("byte_fallback"),
           concat("is true with ", ids.size(), " of the 256 tokens `<0x00>` to `<0xFF>`, which is ",
                  "not supported; expected all of them or none"));
  }
  return ids;
}

/// Tokens for what is no token are put in after the merges here, before them in the package: the
/// same unless a merge knows them.
void check_no_merge_of_unknown(const io::JsonCursor& model, const BpeParts& parts) {
  std::vector<bool> is_unknown(parts.tokens.size());
  if (parts.unknown_id >= 0) is_unknown[static_cast<std::size_t>(parts.unknown_id)] = true;
  for (const std::int32_t id : parts.byte_ids) is_unknown[static_cast<std::size_t>(id)] = true;
  for (const MergeRule& rule : parts.merges) {
    for (const std::int32_t id : {rule.left, rule.right}) {
      if (!is_unknown[static_cast<std::size_t>(id)]) continue;
      refuse(model.at("merges"),
             concat("joins `", printable(parts.tokens[static_cast<std::size_t>(id)]),
                    "`, which stands for unknown characters or bytes; that is not supported"));
    }
  }
}

}  // namespace

BpeParts read_bpe(const io::JsonCursor& model, bool byte_level) {
  check_settings(model);
  BpeParts parts;
  parts.byte_level = byte_level;
  const io::JsonCursor vocab = model.at("vocab");
  parts.tokens = read_vocabulary(vocab);
  parts.merges = read_merges(model.at("merges"), vocab.as_object());
  parts.ignore_merges = model.bool_or("ignore_merges", false);
  parts.fuse_unknown = model.bool_or("fuse_unk", false);
  if (model.has("unk_token")) {
    const std::string& unknown = model.at("unk_token").as_string();
    const io::JsonValue* id = vocab.as_object().find(unknown);
    if (!id) {
      model.at("unk_token")
          .fail(concat("is `", printable(unknown), "`, which is not in the vocabulary"));
    }
    parts.unknown_id = static_cast<std::int32_t>(std::get<std::int64_t>(id->storage()));
  }
  const bool byte_fallback = model.bool_or("byte_fallback", false);
  if (byte_level) {
    // Every piece is spelled in the alphabet: a character that is no token is a byte already.
    if (byte_fallback) refuse(model.at("byte_fallback"), "is true in a byte-level tokenizer");
    return parts;
  }
  if (byte_fallback) parts.byte_ids = read_byte_ids(model);
  check_no_merge_of_unknown(model, parts);
  return parts;
}

}  // namespace distill::text::detail
