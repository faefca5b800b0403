#include <distill/eval/scored_text.h>

#include <algorithm>

#include <distill/core/error.h>

namespace distill::eval {

ScoredTexts::ScoredTexts(const text::Tokenizer& tokenizer, std::int64_t max_positions)
    : tokenizer_(tokenizer), frame_(text::text_frame(tokenizer)), most_ids_(max_positions + 1) {}

ScoredText ScoredTexts::behind(const std::string& context, const std::string& text,
                               const std::string& source, bool& was_cut) const {
  text::TokenizedText tokens;
  try {
    tokens = tokenizer_.encode_with_ranges(context + text);
  } catch (const UnsupportedError& error) {
    fail<UnsupportedError>(source, ": ", error.what());
  }
  const auto is_scored = [&](const text::ByteRange& range) { return range.end > context.size(); };
  const auto begin = std::ranges::find_if(tokens.ranges, is_scored) - tokens.ranges.begin();
  if (begin == std::ssize(tokens.ids)) {
    fail<FormatError>(source, ": a text that gives no tokens cannot be scored");
  }
  ScoredText scored{frame_.before, 0};
  const std::int64_t start = tokenizer_.bos_id() >= 0 ? tokenizer_.bos_id() : tokenizer_.eos_id();
  if (scored.ids.empty() && begin == 0 && start >= 0) scored.ids.push_back(start);
  const auto front = std::ssize(scored.ids);
  const std::int64_t excess = front + std::ssize(tokens.ids) - most_ids_;
  const std::int64_t spare = std::max<std::int64_t>(begin - (front == 0 ? 1 : 0), 0);
  if (excess > spare) {
    fail<FormatError>(source, ": a text of ", std::ssize(tokens.ids) - begin,
                      " tokens does not fit the model's ", most_ids_ - 1,
                      " positions; leave the row out");
  }
  const std::int64_t left_out = std::max<std::int64_t>(excess, 0);
  was_cut = was_cut || left_out > 0;
  scored.ids.insert(scored.ids.end(), tokens.ids.begin() + left_out, tokens.ids.end());
  scored.first = static_cast<std::size_t>(std::max<std::int64_t>(front + begin - left_out, 1));
  return scored;
}

ScoredText ScoredTexts::alone(const std::string& text, const std::string& source) const {
  bool was_cut = false;
  return behind("", text, source, was_cut);
}

}  // namespace distill::eval
