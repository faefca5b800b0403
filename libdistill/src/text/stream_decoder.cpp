#include <distill/text/tokenizer.h>

#include "text/utf8.h"

namespace distill::text {

std::string StreamDecoder::push(std::string_view bytes) {
  pending_ += bytes;
  std::string text;
  std::size_t at = 0;
  while (at < pending_.size()) {
    const detail::Utf8Step step = detail::utf8_step(pending_, at);
    if (step.state == detail::Utf8State::kUnfinished) break;
    text += step.state == detail::Utf8State::kWhole
                ? std::string_view(pending_).substr(at, step.size)
                : detail::kReplacement;
    at += step.size;
  }
  pending_.erase(0, at);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = detail::replace_malformed(pending_);
  pending_.clear();
  return text;
}

}  // namespace distill::text
