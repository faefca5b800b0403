#pragma once

#include <cstdint>
#include <string_view>

#include "text/edited_text.h"

namespace distill::text::detail {

/// Unicode's canonical and compatibility normal forms.
enum class NormalForm : std::uint8_t { kC, kD, kKC, kKD };

/// Brings the text into a normal form: the same characters as the `tokenizers` package gives, which
/// knows Unicode 9. The text is UTF-8. O(n log n).
void normalize(NormalForm form, EditedText& text);

}  // namespace distill::text::detail
