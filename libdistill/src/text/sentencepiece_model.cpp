#include "text/sentencepiece_model.h"

#include <cmath>
#include <unordered_map>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "text/char_map.h"
#include "text/protobuf_reader.h"

namespace distill::text::detail {
namespace {

using core::printable;

constexpr std::size_t kMostPieces = 4'000'000;
constexpr std::size_t kLongestPiece = 512;  // bytes; the library recurses over longer ones

[[noreturn]] void wrong_kind(const std::string& source, const char* what) {
  fail<FormatError>(source, ": ", what, " has another type than in a SentencePiece model");
}

bool as_bool(const ProtobufField& field, const std::string& source) {
  if (!field.is_number) wrong_kind(source, "a setting");
  return field.value != 0;
}

std::string as_text(const ProtobufField& field, const std::string& source) {
  if (field.is_number) wrong_kind(source, "a text");
  return std::string(field.bytes);
}

Piece read_piece(std::string_view bytes, std::size_t id, const std::string& source) {
  Piece piece;
  ProtobufReader fields(bytes, source);
  while (const auto field = fields.next()) {
    if (field->number == 1) {
      piece.text = as_text(*field, source);
    } else if (field->number == 2) {
      piece.score = field->as_float();
    } else if (field->number == 3) {
      if (!field->is_number || field->value < 1 || field->value > 6) {
        fail<FormatError>(source, ": piece ", id, " is of the kind ", field->value,
                          ", expected 1 to 6");
      }
      piece.kind = static_cast<PieceKind>(field->value);
    }
  }
  const auto bad = [&](const char* what) {
    fail<FormatError>(source, ": piece ", id, " `", printable(piece.text), "` ", what);
  };
  if (piece.text.empty()) bad("is empty");
  if (piece.text.size() > kLongestPiece) bad("is longer than 512 bytes");
  if (!core::is_utf8(piece.text)) bad("is not UTF-8");
  if (piece.text.find('\0') != std::string::npos) bad("holds a NUL character");
  if (!std::isfinite(piece.score)) bad("has a score that is not finite");
  return piece;
}

void read_trainer(std::string_view bytes, const std::string& source, SentencePieceModel& model) {
  ProtobufReader fields(bytes, source);
  while (const auto field = fields.next()) {
    switch (field->number) {
      case 3:
        if (!field->is_number || field->value < 1 || field->value > 2) {
          fail<UnsupportedError>(source, ": the model is of type ", field->value,
                                 "; supported: 1 (unigram), 2 (bpe)");
        }
        model.kind = static_cast<SentencePieceModel::Kind>(field->value);
        break;
      case 24:
        model.space_as_suffix = as_bool(*field, source);
        break;
      case 35:
        model.byte_fallback = as_bool(*field, source);
        break;
      case 44:
        model.unknown_text = as_text(*field, source);
        break;
      case 46:
        model.bos = as_text(*field, source);
        break;
      case 47:
        model.eos = as_text(*field, source);
        break;
      case 48:
        model.pad = as_text(*field, source);
        break;
      default:
        break;  // how it was trained
    }
  }
}

void read_normalizer(std::string_view bytes, const std::string& source, SentencePieceModel& model) {
  ProtobufReader fields(bytes, source);
  while (const auto field = fields.next()) {
    if (field->number == 2) model.char_map = as_text(*field, source);
    if (field->number == 3) model.add_dummy_prefix = as_bool(*field, source);
    if (field->number == 4) model.remove_extra_spaces = as_bool(*field, source);
    if (field->number == 5) model.escape_spaces = as_bool(*field, source);
  }
}

void check_denormalizer(std::string_view bytes, const std::string& source) {
  ProtobufReader fields(bytes, source);
  while (const auto field = fields.next()) {
    if (field->number == 2 && !field->bytes.empty()) {
      fail<UnsupportedError>(source, ": has a denormalizer, which is not supported");
    }
  }
}

void check_pieces(const SentencePieceModel& model, const std::string& source) {
  std::unordered_map<std::string_view, std::size_t> seen;
  std::size_t num_bytes = 0;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    const auto [other, is_new] = seen.emplace(piece.text, id);
    if (!is_new) {
      fail<FormatError>(source, ": pieces ", other->second, " and ", id, " are both `",
                        printable(piece.text), "`");
    }
    if (piece.kind == PieceKind::kByte) ++num_bytes;
  }
  if (model.unknown_id < 0) fail<FormatError>(source, ": has no unknown piece, expected one");
  if (model.byte_fallback && num_bytes != 256) {
    fail<FormatError>(source, ": falls back to bytes with ", num_bytes,
                      " byte pieces, expected 256");
  }
  if (!model.byte_fallback && num_bytes != 0) {
    fail<FormatError>(source, ": has byte pieces and does not fall back to bytes");
  }
}

}  // namespace

std::int64_t SentencePieceModel::id_of(std::string_view text) const {
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].text == text) return static_cast<std::int64_t>(id);
  }
  return -1;
}

SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& source) {
  SentencePieceModel model;
  ProtobufReader fields(bytes, source);
  while (const auto field = fields.next()) {
    if (field->number > 5) continue;
    if (field->is_number) wrong_kind(source, "a part");
    if (field->number == 1) {
      if (model.pieces.size() == kMostPieces) {
        fail<FormatError>(source, ": holds more than ", kMostPieces, " pieces");
      }
      model.pieces.push_back(read_piece(field->bytes, model.pieces.size(), source));
      if (model.pieces.back().kind == PieceKind::kUnknown) {
        if (model.unknown_id >= 0) fail<FormatError>(source, ": has two unknown pieces");
        model.unknown_id = static_cast<std::int64_t>(model.pieces.size()) - 1;
      }
    } else if (field->number == 2) {
      read_trainer(field->bytes, source, model);
    } else if (field->number == 3) {
      read_normalizer(field->bytes, source, model);
    } else if (field->number == 5) {
      check_denormalizer(field->bytes, source);
    }
  }
  if (model.pieces.empty()) {
    fail<FormatError>(source, ": holds no pieces, expected a SentencePiece model");
  }
  check_pieces(model, source);
  check_char_map(model.char_map, source);
  return model;
}

}  // namespace distill::text::detail
