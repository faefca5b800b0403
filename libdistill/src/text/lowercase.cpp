#include "text/lowercase.h"

#include <array>
#include <utility>

#include <utf8proc.h>

#include "text/unicode.h"

namespace distill::text::detail {
namespace {

/// The lower-case form as UTF-8 bytes.
struct Lower {
  std::array<utf8proc_uint8_t, 4> bytes{};
  std::size_t size = 0;
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), size}; }
};

Lower lower_of(char32_t value) {
  Lower lower;
  lower.size = static_cast<std::size_t>(utf8proc_encode_char(
      utf8proc_tolower(static_cast<utf8proc_int32_t>(value)), lower.bytes.data()));
  return lower;
}

}  // namespace

void make_lowercase(EditedText& edited) {
  const std::string_view text = edited.text();
  TextEdit edit = edited.edit();
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    constexpr char32_t kDottedI = 0x130;  // the only one whose lower-case form is two characters
    const Lower lower = lower_of(point.value);
    const std::string_view by = point.value == kDottedI ? "i\xCC\x87" : lower.view();
    if (by != text.substr(at, point.size)) {
      edit.keep(at - edit.at());
      edit.replace(point.size, by);
    }
    at += point.size;
  }
  edit.keep(text.size() - edit.at());
  edited.apply(std::move(edit));
}

}  // namespace distill::text::detail
