#pragma once

#include <distill/text/tokenizer.h>

namespace distill::text {

/// What a tokenizer's post-processor puts around every text, such as a BOS.
struct TextFrame {
  TokenIds before;
  TokenIds after;
};

TextFrame text_frame(const Tokenizer& tokenizer);

}  // namespace distill::text
