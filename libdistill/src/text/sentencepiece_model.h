#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distill::text::detail {

/// What kind of piece, by its number in a SentencePiece model.
enum class PieceKind : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct Piece {
  std::string text;
  float score = 0;
  PieceKind kind = PieceKind::kNormal;
};

/// A tokenizer.model as it stands in the file.
struct SentencePieceModel {
  enum class Kind : std::uint8_t { kUnigram = 1, kBpe = 2 };
  std::vector<Piece> pieces;  ///< by id
  Kind kind = Kind::kUnigram;
  bool byte_fallback = false;
  bool space_as_suffix = false;
  std::string unknown_text = " \xE2\x81\x87 ";  ///< what the unknown piece decodes to
  std::string bos = "<s>", eos = "</s>", pad = "<pad>";
  std::string char_map;  ///< the normalizer's; empty: nothing is changed
  bool add_dummy_prefix = true;
  bool remove_extra_spaces = true;
  bool escape_spaces = true;

  std::int64_t unknown_id = -1;
  /// -1 when there is none.
  std::int64_t id_of(std::string_view text) const;
};

/// Reads the model and checks all that the sentencepiece library relies on: sizes, kinds, texts,
/// that no piece comes twice, that the normalizer's table points nowhere outside itself. Throws
/// FormatError and UnsupportedError, beginning with `source`.
SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& source);

}  // namespace distill::text::detail
