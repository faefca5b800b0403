#include "text/normal_form.h"

#include <algorithm>
#include <array>

#include <utf8proc.h>

#include <distill/core/error.h>

#include "text/unicode.h"

namespace distill::text::detail {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

/// Characters that normalisation treats otherwise since Unicode 10: unassigned for the
/// `tokenizers` package, so they neither move nor combine.
constexpr Range kUnknownChars[] = {
    {0x07FD, 0x07FD},   {0x0897, 0x089F},   {0x08CA, 0x08D3},   {0x09FE, 0x09FE},
    {0x0C3C, 0x0C3C},   {0x0D3B, 0x0D3C},   {0x0EBA, 0x0EBA},   {0x1715, 0x1715},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x105C0, 0x105FF},
    {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC}, {0x10EFC, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x11380, 0x113E2}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930},
    {0x11935, 0x11935}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
    {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
    {0x16100, 0x16139}, {0x16D40, 0x16D79}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1E5D0, 0x1E5FF},
};

bool is_unknown(char32_t value) {
  const auto* range = std::ranges::lower_bound(kUnknownChars, value, {}, &Range::last);
  return range != std::end(kUnknownChars) && value >= range->first;
}

/// Nothing combines across a place before or after such a character.
bool stands_alone(char32_t value) {
  // utf8proc 2.8 takes U+11A7, one before the first trailing consonant of Hangul, for one.
  return value < 0x20 || value == 0x11A7 || is_unknown(value);
}

int combining_class(utf8proc_int32_t value) {
  return utf8proc_get_property(value)->combining_class;
}

/// Marks after a base in the order of their combining class. utf8proc's own ordering takes
/// quadratic time on a long run of marks.
void order_marks(std::vector<utf8proc_int32_t>& points) {
  for (auto begin = points.begin(); begin != points.end();) {
    if (combining_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto is_base = [](utf8proc_int32_t point) { return combining_class(point) == 0; };
    const auto end = std::find_if(begin, points.end(), is_base);
    std::ranges::stable_sort(begin, end, {}, combining_class);
    begin = end;
  }
}

bool composes(NormalForm form) {
  return form == NormalForm::kC || form == NormalForm::kKC;
}

/// The part in the normal form.
std::string normal_part(NormalForm form, std::string_view part) {
  const bool compatible = form == NormalForm::kKC || form == NormalForm::kKD;
  const auto decompose = static_cast<utf8proc_option_t>(
      compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE);
  std::vector<utf8proc_int32_t> points;
  for (std::size_t at = 0; at < part.size();) {
    const CodePoint point = code_point_at(part, at);
    std::array<utf8proc_int32_t, 24> decomposed{};  // 18 are the longest in Unicode
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point.value), decomposed.data(),
                                decomposed.size(), decompose, nullptr);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(decomposed.size())) {
      fail<InputError>("text cannot be normalised: ", utf8proc_errmsg(count));
    }
    points.insert(points.end(), decomposed.begin(), decomposed.begin() + count);
    at += point.size;
  }
  order_marks(points);
  auto size = static_cast<utf8proc_ssize_t>(points.size());
  if (composes(form)) {
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    size = utf8proc_normalize_utf32(points.data(), size, options);
  }
  std::string result;
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto length = utf8proc_encode_char(points[static_cast<std::size_t>(i)], bytes.data());
    result.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
  }
  return result;
}

/// Characters that form C leaves alone and that combine with nothing before them. Not all of them:
/// the common ones.
bool is_plain(char32_t value) {
  return value < 0x300 || (value >= 0x400 && value <= 0x482) ||
         (value >= 0x48A && value <= 0x52F) || (value >= 0x2010 && value <= 0x2027) ||
         (value >= 0x3000 && value <= 0x3029) || (value >= 0x3041 && value <= 0x3096) ||
         (value >= 0x30A1 && value <= 0x30FA) || (value >= 0x3400 && value <= 0x4DBF) ||
         (value >= 0x4E00 && value <= 0x9FA5) || (value >= 0xAC00 && value <= 0xD7A3) ||
         (value >= 0xFF01 && value <= 0xFF60);
}

/// Where the plain characters that begin at `at` end. The last of them is left out when something
/// follows that it may combine with.
std::size_t plain_end(NormalForm form, std::string_view text, std::size_t at) {
  std::size_t last = at;
  while (at < text.size()) {
    const CodePoint point = code_point_at(text, at);
    const bool plain = form == NormalForm::kC ? is_plain(point.value) : point.value < 0x80;
    if (!plain) return last;
    last = at;
    at += point.size;
  }
  return at;
}

}  // namespace

void normalize(NormalForm form, EditedText& edited) {
  const std::string_view text = edited.text();
  const std::size_t plain = plain_end(form, text, 0);
  if (plain == text.size()) return;
  TextEdit edit = edited.edit();
  edit.keep(plain);
  while (edit.at() < text.size()) {
    // A part that nothing combines with from outside.
    const std::size_t begin = edit.at();
    std::size_t end = begin;
    bool alone = false;
    do {
      const CodePoint point = code_point_at(text, end);
      alone = stands_alone(point.value);
      end += point.size;
      if (end == text.size() || alone) break;
      const char32_t next = code_point_at(text, end).value;
      // An ASCII character never combines with what is before it.
      alone = next < 0x80 || stands_alone(next);
    } while (!alone);
    const std::string_view part = text.substr(begin, end - begin);
    const bool fixed = part.size() == 1 || is_unknown(code_point_at(part, 0).value);
    const std::string normal = fixed ? std::string(part) : normal_part(form, part);
    if (normal == part) {
      edit.keep(part.size());
    } else {
      edit.replace(part.size(), normal);
    }
    edit.keep(plain_end(form, text, edit.at()) - edit.at());
  }
  edited.apply(std::move(edit));
}

}  // namespace distill::text::detail
