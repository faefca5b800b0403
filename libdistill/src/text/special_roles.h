#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

namespace distill::text::detail {

/// The ids of the tokens with a role; -1 when there is none.
struct SpecialRoles {
  std::int64_t bos = -1;
  std::int64_t eos = -1;
  std::int64_t pad = -1;
};

/// What the check of a folder's other files needs to know about the tokenizer.
struct TokenLookup {
  std::function<std::int64_t(std::string_view)> id_of;  ///< -1 when there is none
  std::function<bool(std::int64_t)> is_added;
  std::int64_t vocab_size = 0;
};

/// Reads the roles from tokenizer_config.json; for one it does not mention from
/// special_tokens_map.json, then from generation_config.json and config.json. A null there means
/// none. Throws FormatError when a name or id does not fit the tokenizer.
/// `defaults`: for roles that no file mentions.
SpecialRoles read_special_roles(const std::filesystem::path& folder, const TokenLookup& tokens,
                                const SpecialRoles& defaults = {});

}  // namespace distill::text::detail
