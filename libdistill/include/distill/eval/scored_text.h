#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <distill/text/frame.h>
#include <distill/text/tokenizer.h>

namespace distill::eval {

/// A text as a model reads it. Tokens from `first` on are scored, each given all before it.
struct ScoredText {
  std::vector<std::int64_t> ids;
  std::size_t first = 1;  ///< at least 1: nothing predicts the first token
};

/// Makes them for one tokenizer and models with so many positions.
///
/// Context and text are tokenized as one, since that is how a model has seen them; a token counts
/// as the text's when any of its bytes is, so one that reaches over the border is scored whole.
/// What the post-processor puts in front (BOS) stays; a text without context begins behind the
/// tokenizer's BOS or, where it has none, its EOS, and without either its first token is not
/// scored. What the post-processor puts at the end is left out.
class ScoredTexts {
 public:
  /// `tokenizer` must outlive it.
  ScoredTexts(const text::Tokenizer& tokenizer, std::int64_t max_positions);

  /// `text` behind `context`, which may be empty. A context that does not fit the positions loses
  /// its beginning, and `was_cut` is set. Throws FormatError naming `source` for a text without
  /// tokens, or one that does not fit itself; UnsupportedError where the tokenizer cannot tell
  /// which bytes a token stands for.
  ScoredText behind(const std::string& context, const std::string& text, const std::string& source,
                    bool& was_cut) const;
  ScoredText alone(const std::string& text, const std::string& source) const;

 private:
  const text::Tokenizer& tokenizer_;
  text::TextFrame frame_;
  std::int64_t most_ids_;  ///< the last id is predicted and never read
};

}  // namespace distill::eval
