#pragma once

#include "text/edited_text.h"

namespace distill::text::detail {

/// Every character becomes its lower-case form, as the `tokenizers` package does it (Unicode 17, no
/// look at the neighbours).
void make_lowercase(EditedText& text);

}  // namespace distill::text::detail
