#include "text/special_roles.h"

#include <charconv>
#include <optional>
#include <string>

#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/json_value.h>

#include "text/json_members.h"

namespace distill::text::detail {
namespace {

namespace fs = std::filesystem;
using core::concat;
using core::printable;

std::optional<io::JsonValue> read_if_there(const fs::path& path) {
  if (!core::path_exists(path)) return std::nullopt;
  return io::read_json_file(path);
}

/// A token named by its text, plain or as an object with `content`. Nothing when the file does not
/// mention the role.
std::optional<std::int64_t> role_by_text(const io::JsonCursor& file, std::string_view name,
                                         const TokenLookup& tokens) {
  const io::JsonValue* value = file.as_object().find(name);
  if (!value) return std::nullopt;
  if (value->is_null()) return -1;
  const io::JsonCursor token = file.at(name);
  const std::string& text =
      token.value().is_object() ? token.at("content").as_string() : token.as_string();
  const std::int64_t id = tokens.id_of(text);
  if (id < 0) token.fail(concat("is `", printable(text), "`, which the tokenizer does not have"));
  if (!tokens.is_added(id)) {
    refuse(token, concat("is `", printable(text),
                         "`, which is no added token of tokenizer.json; add it there"));
  }
  return id;
}

/// A token by its id; of a list the first.
std::optional<std::int64_t> role_by_id(const io::JsonCursor& file, std::string_view name,
                                       const TokenLookup& tokens) {
  if (!file.has(name)) return std::nullopt;
  io::JsonCursor id = file.at(name);
  if (id.value().is_array()) {
    if (id.size() == 0) return std::nullopt;
    id = id.at(std::size_t{0});
  }
  return id.int_in(0, tokens.vocab_size - 1);
}

/// transformers adds the tokens of this table that tokenizer.json does not have.
void check_added_tokens_decoder(const io::JsonCursor& config, const TokenLookup& tokens) {
  if (!config.has("added_tokens_decoder")) return;
  const io::JsonCursor table = config.at("added_tokens_decoder");
  for (const auto& [number, value] : table.as_object().members()) {
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), id);
    if (error != std::errc() || end != number.data() + number.size()) {
      table.fail(concat("has the name `", printable(number), "`, expected an id"));
    }
    const std::string& content = table.at(number).at("content").as_string();
    if (tokens.id_of(content) != id) {
      table.at(number).fail(concat("is `", printable(content), "`, whose id in the tokenizer is ",
                                   tokens.id_of(content),
                                   "; the two files do not belong together"));
    }
  }
}

}  // namespace

SpecialRoles read_special_roles(const fs::path& folder, const TokenLookup& tokens,
                                const SpecialRoles& defaults) {
  struct Role {
    std::int64_t SpecialRoles::*id;
    std::string name;
    bool found = false;
  };
  Role roles[] = {{&SpecialRoles::bos, "bos_token"},
                  {&SpecialRoles::eos, "eos_token"},
                  {&SpecialRoles::pad, "pad_token"}};
  SpecialRoles result = defaults;
  const auto read = [&](const std::string& name, bool by_text) {
    const auto value = read_if_there(folder / name);
    if (!value) return;
    const io::JsonCursor file(*value, (folder / name).string());
    if (name == "tokenizer_config.json") check_added_tokens_decoder(file, tokens);
    for (Role& role : roles) {
      if (role.found) continue;
      const auto id = by_text ? role_by_text(file, role.name, tokens)
                              : role_by_id(file, role.name + "_id", tokens);
      if (!id) continue;
      result.*role.id = *id;
      role.found = true;
    }
  };
  read("tokenizer_config.json", true);
  read("special_tokens_map.json", true);
  read("generation_config.json", false);
  read("config.json", false);
  return result;
}

}  // namespace distill::text::detail
