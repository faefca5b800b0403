#include "text/split_text.h"

#include <algorithm>

#include "text/unicode.h"

namespace distill::text::detail {
namespace {

struct Part {
  ByteRange range;
  bool is_match = false;
};

/// Matches and what lies between them, without gaps: `take(range, is_match)`.
template <class Take>
void for_each_part(std::string_view text, ByteRange piece, const Delimiter& delimiter, Take take) {
  const std::string_view part = text.substr(piece.begin, piece.end - piece.begin);
  std::size_t gap = 0;
  const auto match = [&](std::size_t at, std::size_t end) {
    if (gap < at) take(ByteRange{piece.begin + gap, piece.begin + at}, delimiter.invert);
    take(ByteRange{piece.begin + at, piece.begin + end}, !delimiter.invert);
    gap = end;
  };
  if (delimiter.match) {
    for (std::size_t at = 0; at < part.size();) {
      const std::size_t end = delimiter.match(part, at);
      if (end == at) {
        at += code_point_at(part, at).size;
      } else {
        match(at, end);
        at = end;
      }
    }
  } else {
    const std::size_t size = delimiter.literal.size();
    for (std::size_t at = part.find(delimiter.literal); at != std::string_view::npos;
         at = part.find(delimiter.literal, gap)) {
      match(at, at + size);
    }
  }
  if (gap < part.size()) take(ByteRange{piece.begin + gap, piece.end}, delimiter.invert);
}

/// A part joins the one before it where `joins(is_match, previous_is_match)`.
template <class Joins>
void join_parts(const std::vector<Part>& parts, Joins joins, std::vector<ByteRange>& out) {
  bool previous = false;
  const std::size_t first = out.size();
  for (const Part& part : parts) {
    if (joins(part.is_match, previous) && out.size() > first) {
      out.back() = {std::min(out.back().begin, part.range.begin),
                    std::max(out.back().end, part.range.end)};
    } else {
      out.push_back(part.range);
    }
    previous = part.is_match;
  }
}

}  // namespace

void split_piece(std::string_view text, ByteRange piece, const Delimiter& delimiter,
                 SplitBehavior behavior, std::vector<ByteRange>& out) {
  if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
    const bool keep_matches = behavior == SplitBehavior::kIsolated;
    for_each_part(text, piece, delimiter, [&](ByteRange range, bool is_match) {
      if (keep_matches || !is_match) out.push_back(range);
    });
    return;
  }
  std::vector<Part> parts;
  for_each_part(text, piece, delimiter, [&](ByteRange range, bool is_match) {
    parts.push_back({range, is_match});
  });
  if (behavior == SplitBehavior::kContiguous) {
    join_parts(
        parts, [](bool now, bool before) { return now == before; }, out);
    return;
  }
  const auto first_of_run = [](bool now, bool before) { return now && !before; };
  if (behavior == SplitBehavior::kMergedWithPrevious) return join_parts(parts, first_of_run, out);
  // The same from the right.
  std::ranges::reverse(parts);
  const auto begin = static_cast<std::ptrdiff_t>(out.size());
  join_parts(parts, first_of_run, out);
  std::reverse(out.begin() + begin, out.end());
}

}  // namespace distill::text::detail
