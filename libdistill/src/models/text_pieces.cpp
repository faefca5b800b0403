#include "models/text_pieces.h"

namespace distill::models {

std::vector<Piece> pieces_of(const types::ModelInput& texts, std::size_t first, std::size_t last) {
  std::vector<Piece> pieces;
  const auto& borders = texts.segments;
  while (first < last) {
    std::size_t end = first + 1;
    while (end < last && borders[end + 1] - borders[first] <= kPieceTokens) ++end;
    const std::int64_t begin = borders[first], count = borders[end] - begin;
    Piece& piece = pieces.emplace_back(Piece{begin, {}});
    piece.input.input_ids = texts.input_ids.narrow(0, begin, count);
    piece.input.position_ids = texts.position_ids.narrow(0, begin, count);
    for (std::size_t i = first; i <= end; ++i) piece.input.segments.push_back(borders[i] - begin);
    first = end;
  }
  return pieces;
}

}  // namespace distill::models
