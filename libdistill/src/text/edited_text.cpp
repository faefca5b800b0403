#include "text/edited_text.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace distill::text::detail {

void TextEdit::add_part(bool unchanged) {
  if (!track_) return;
  if (parts_.empty() || !unchanged || !parts_.back().unchanged) {
    parts_.push_back({text_.size(), at_, unchanged});
  }
}

void TextEdit::keep(std::size_t size) {
  if (size == 0) return;
  add_part(true);
  text_ += before_.substr(at_, size);
  at_ += size;
}

void TextEdit::replace(std::size_t size, std::string_view by) {
  add_part(false);
  text_ += by;
  at_ += size;
}

const TextEdit::Part& TextEdit::part_at(std::size_t at) const {
  const auto after = std::ranges::upper_bound(parts_, at, {}, &Part::begin);
  return *std::prev(after);
}

std::size_t TextEdit::original_begin(std::size_t at) const {
  const Part& part = part_at(at);
  return part.unchanged ? part.original + (at - part.begin) : part.original;
}

std::size_t TextEdit::original_end(std::size_t at) const {
  if (at == 0) return 0;
  const Part& part = part_at(at - 1);
  if (part.unchanged) return part.original + (at - part.begin);
  return (&part + 1)->original;
}

void EditedText::apply(TextEdit&& edit) {
  if (track_) {
    edit.parts_.push_back({edit.text_.size(), edit.at_, true});
    steps_.push_back(std::move(edit));
    view_ = steps_.back().text_;
  } else {
    current_ = std::move(edit.text_);
    view_ = current_;
  }
}

ByteRange EditedText::original(ByteRange range) const {
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    range = {step->original_begin(range.begin), step->original_end(range.end)};
  }
  range.end = std::max(range.begin, range.end);
  return range;
}

}  // namespace distill::text::detail
