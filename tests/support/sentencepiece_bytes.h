#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace distill::testing {

/// A SentencePiece model written byte by byte (protocol buffers).
struct SentencePieceBytes {
  struct Piece {
    std::string text;
    float score = 0;
    int kind = 1;  ///< 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte
  };
  std::vector<Piece> pieces;
  int model_type = 2;  ///< 1 unigram, 2 BPE
  bool byte_fallback = false;
  std::string char_map;
  bool remove_extra_spaces = false;
  bool add_dummy_prefix = true;

  /// Pieces 0 to 2, as Llama has them, with scores that fall by one for each of `normal`.
  static SentencePieceBytes with(const std::vector<std::string>& normal, bool bytes = false) {
    SentencePieceBytes model;
    model.pieces = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}};
    for (int byte = 0; bytes && byte < 256; ++byte) {
      constexpr std::string_view kDigits = "0123456789ABCDEF";
      const auto digit = [&](int value) { return kDigits[static_cast<std::size_t>(value)]; };
      model.pieces.push_back({{'<', '0', 'x', digit(byte / 16), digit(byte % 16), '>'}, 0, 6});
    }
    model.byte_fallback = bytes;
    float score = 0;
    for (const std::string& text : normal) model.pieces.push_back({text, score -= 1, 1});
    return model;
  }

  std::string write() const {
    std::string out;
    for (const Piece& piece : pieces) {
      const auto bits = std::bit_cast<std::uint32_t>(piece.score);
      std::string part = text(1, piece.text) + tag(2, 5);
      for (int i = 0; i < 4; ++i) part += static_cast<char>(bits >> (8 * i));
      out += text(1, part + number(3, piece.kind));
    }
    out += text(2, number(3, model_type) + number(35, byte_fallback));
    return out + text(3, text(2, char_map) + number(3, add_dummy_prefix) +
                             number(4, remove_extra_spaces) + number(5, 1));
  }

  static std::string varint(std::uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7F));
    return out + static_cast<char>(value);
  }
  static std::string tag(int field, int type) {
    return varint(static_cast<std::uint64_t>(field * 8 + type));
  }
  static std::string number(int field, int value) {
    return tag(field, 0) + varint(static_cast<std::uint64_t>(value));
  }
  static std::string text(int field, std::string_view value) {
    return tag(field, 2) + varint(value.size()) + std::string(value);
  }
};

}  // namespace distill::testing
