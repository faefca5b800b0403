#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include <distill/io/json_value.h>
#include <distill/text/tokenizer.h>

namespace distill::text::detail {

/// The ids that the post-processor puts around one text.
struct SpecialFrame {
  TokenIds before;
  TokenIds after;
};

/// Reads the member `post_processor` of a tokenizer.json; `id_of` gives a token's id or -1.
/// Throws UnsupportedError for kinds that are not known, FormatError for malformed ones.
SpecialFrame read_post_processor(const io::JsonCursor& node,
                                 const std::function<std::int64_t(std::string_view)>& id_of);

}  // namespace distill::text::detail
