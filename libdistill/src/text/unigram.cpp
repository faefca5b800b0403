#include "text/unigram.h"

#include <algorithm>

#include "text/unicode.h"

namespace distill::text::detail {
namespace {

constexpr float kUnknownPenalty = 10;

/// The best path that ends at a place.
struct Best {
  float score = 0;
  std::size_t begin = 0;  ///< of its last token
  std::int32_t id = -1;   ///< -1: no path ends here
};

}  // namespace

Unigram::Unigram(const SentencePieceModel& model)
    : unknown_id_(static_cast<std::int32_t>(model.unknown_id)) {
  bool any = false;
  float lowest = 0;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    if (piece.kind != PieceKind::kNormal) continue;
    pieces_.emplace(piece.text, Entry{static_cast<std::int32_t>(id), piece.score});
    longest_ = std::max(longest_, piece.text.size());
    lowest = any ? std::min(lowest, piece.score) : piece.score;
    any = true;
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

bool Unigram::supports(const SentencePieceModel& model) {
  return model.kind == SentencePieceModel::Kind::kUnigram &&
         std::ranges::none_of(model.pieces, [](const Piece& piece) {
           return piece.kind == PieceKind::kUserDefined || piece.kind == PieceKind::kUnused;
         });
}

std::vector<Symbol> Unigram::encode(std::string_view text) const {
  std::vector<Best> best(text.size() + 1);
  const auto offer = [&](std::size_t begin, std::size_t end, std::int32_t id, float score) {
    const float total = score + best[begin].score;
    if (best[end].id < 0 || total > best[end].score) best[end] = {total, begin, id};
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t one = code_point_at(text, at).size;
    bool single = false;
    for (std::size_t end = at + one; end <= text.size() && end - at <= longest_;
         end += code_point_at(text, end).size) {
      const auto found = pieces_.find(text.substr(at, end - at));
      if (found != pieces_.end()) {
        offer(at, end, found->second.id, found->second.score);
        single = single || end == at + one;
      }
      if (end == text.size()) break;
    }
    if (!single) offer(at, at + one, unknown_id_, unknown_score_);
    at += one;
  }
  std::vector<Symbol> path;
  for (std::size_t end = text.size(); end > 0; end = best[end].begin) {
    if (best[end].id == unknown_id_ && !path.empty() && path.back().id == unknown_id_) {
      path.back().begin = best[end].begin;
    } else {
      path.push_back({best[end].id, best[end].begin, end});
    }
  }
  std::ranges::reverse(path);
  return path;
}

}  // namespace distill::text::detail
