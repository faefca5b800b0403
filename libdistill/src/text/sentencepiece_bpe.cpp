#include "text/sentencepiece_bpe.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

#include "text/unicode.h"

namespace distill::text::detail {
namespace {

using Ids = std::unordered_map<std::string_view, std::int32_t>;

bool is_one_char(std::string_view text) {
  return code_point_at(text, 0).size == text.size();
}

/// Characters of pieces that are no pieces themselves.
std::vector<std::string> find_helpers(const SentencePieceModel& model, const Ids& ids) {
  std::vector<std::string> helpers;
  std::unordered_map<std::string_view, bool> seen;
  for (const Piece& piece : model.pieces) {
    if (piece.kind != PieceKind::kNormal) continue;
    const std::string_view text = piece.text;
    for (std::size_t at = 0; at < text.size();) {
      const std::string_view one = text.substr(at, code_point_at(text, at).size);
      at += one.size();
      if (!ids.contains(one) && seen.emplace(one, true).second) helpers.emplace_back(one);
    }
  }
  return helpers;
}

/// Equal scores have equal ranks.
std::unordered_map<float, std::int32_t> rank_scores(const SentencePieceModel& model) {
  std::vector<float> scores;
  for (const Piece& piece : model.pieces) scores.push_back(piece.score);
  std::ranges::sort(scores, std::greater());
  std::unordered_map<float, std::int32_t> ranks;
  for (const float score : scores) ranks.emplace(score, static_cast<std::int32_t>(ranks.size()));
  return ranks;
}

}  // namespace

bool is_plain_bpe(const SentencePieceModel& model) {
  if (model.kind != SentencePieceModel::Kind::kBpe || !model.char_map.empty()) return false;
  if (model.remove_extra_spaces || model.space_as_suffix || !model.escape_spaces) return false;
  return std::ranges::all_of(model.pieces, [](const Piece& piece) {
    if (piece.kind == PieceKind::kNormal) return true;
    const bool known = piece.kind == PieceKind::kUnknown || piece.kind == PieceKind::kControl ||
                       piece.kind == PieceKind::kByte;
    return known && !is_one_char(piece.text);
  });
}

BpeParts to_bpe(const SentencePieceModel& model) {
  BpeParts parts;
  parts.byte_level = false;
  parts.fuse_unknown = true;
  parts.unknown_id = static_cast<std::int32_t>(model.unknown_id);
  Ids ids;
  if (model.byte_fallback) parts.byte_ids.reserve(256);
  for (const Piece& piece : model.pieces) {
    const auto id = static_cast<std::int32_t>(parts.tokens.size());
    parts.tokens.push_back(piece.text);
    if (piece.kind == PieceKind::kNormal) ids.emplace(piece.text, id);
  }
  parts.helpers = find_helpers(model, ids);
  for (std::size_t i = 0; i < parts.helpers.size(); ++i) {
    ids.emplace(parts.helpers[i], static_cast<std::int32_t>(parts.tokens.size() + i));
  }
  const auto ranks = rank_scores(model);
  for (const Piece& piece : model.pieces) {
    if (piece.kind != PieceKind::kNormal) continue;
    const std::string_view text = piece.text;
    for (std::size_t at = code_point_at(text, 0).size; at < text.size();
         at += code_point_at(text, at).size) {
      const auto left = ids.find(text.substr(0, at));
      const auto right = ids.find(text.substr(at));
      if (left == ids.end() || right == ids.end()) continue;
      parts.merges.push_back({left->second, right->second, ranks.at(piece.score), ids.at(text)});
    }
  }
  return parts;
}

}  // namespace distill::text::detail
