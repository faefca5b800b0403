#include "text/normalizer.h"

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
  return value < 0x20 || is_unknown(value);
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

std::string compose(std::string_view part) {
  std::vector<utf8proc_int32_t> points;
  for (std::size_t at = 0; at < part.size();) {
    const CodePoint point = code_point_at(part, at);
    std::array<utf8proc_int32_t, 8> decomposed{};  // four are the longest in Unicode
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point.value), decomposed.data(),
                                decomposed.size(), UTF8PROC_DECOMPOSE, nullptr);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(decomposed.size())) {
      fail<InputError>("text cannot be normalised: ", utf8proc_errmsg(count));
    }
    points.insert(points.end(), decomposed.begin(), decomposed.begin() + count);
    at += point.size;
  }
  order_marks(points);
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const auto size = utf8proc_normalize_utf32(points.data(),
                                             static_cast<utf8proc_ssize_t>(points.size()), options);
  std::string result;
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto length = utf8proc_encode_char(points[static_cast<std::size_t>(i)], bytes.data());
    result.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
  }
  return result;
}

}  // namespace

NfcText::NfcText(std::string_view original) {
  text_.reserve(original.size());
  std::size_t begin = 0;
  bool after_alone = false;
  for (std::size_t at = 0; at < original.size();) {
    const CodePoint point = code_point_at(original, at);
    // An ASCII character never combines with what is before it.
    if (at > begin && (after_alone || point.value < 0x80 || stands_alone(point.value))) {
      add(original.substr(begin, at - begin), begin);
      begin = at;
    }
    after_alone = stands_alone(point.value);
    at += point.size;
  }
  if (begin < original.size()) add(original.substr(begin), begin);
  parts_.push_back({text_.size(), original.size(), true});
}

void NfcText::add(std::string_view part, std::size_t original) {
  const bool plain = part.size() == 1 || is_unknown(code_point_at(part, 0).value);
  const std::string composed = plain ? std::string(part) : compose(part);
  const bool unchanged = composed == part;
  if (parts_.empty() || !unchanged || !parts_.back().unchanged) {
    parts_.push_back({text_.size(), original, unchanged});
  }
  text_ += composed;
}

const NfcText::Part& NfcText::part_at(std::size_t at) const {
  const auto after = std::ranges::upper_bound(parts_, at, {}, &Part::begin);
  return *std::prev(after);
}

std::size_t NfcText::original_begin(std::size_t at) const {
  const Part& part = part_at(at);
  return part.unchanged ? part.original + (at - part.begin) : part.original;
}

std::size_t NfcText::original_end(std::size_t at) const {
  if (at == 0) return 0;
  const Part& part = part_at(at - 1);
  if (part.unchanged) return part.original + (at - part.begin);
  return (&part + 1)->original;
}

}  // namespace distill::text::detail
