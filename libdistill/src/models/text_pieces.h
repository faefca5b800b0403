#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/types/model_input.h>

namespace distill::models {

/// Tokens of texts whose wide values are held at a time.
inline constexpr std::int64_t kPieceTokens = 2048;

/// Some sequences of texts: tokens [begin, begin + size()).
struct Piece {
  std::int64_t begin = 0;
  types::ModelInput input;

  std::int64_t size() const { return input.input_ids.size(0); }
  /// Its rows of `all`, a view.
  at::Tensor of(const at::Tensor& all) const { return all.narrow(0, begin, size()); }
};

/// Sequences [first, last) of `texts`, whole, about kPieceTokens in each piece.
std::vector<Piece> pieces_of(const types::ModelInput& texts, std::size_t first, std::size_t last);

}  // namespace distill::models
