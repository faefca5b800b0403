#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/char_cuts.h"
#include "text/char_ids.h"
#include "text/merge_table.h"
#include "text/token_table.h"

namespace distill::text::detail {

/// What a BPE model is made of.
struct BpeParts {
  std::vector<std::string> tokens;  ///< by id; empty where there is none
  /// Characters that are no tokens but parts of tokens; in merges they are ids after the tokens.
  std::vector<std::string> helpers;
  std::vector<MergeRule> merges;
  std::int32_t unknown_id = -1;  ///< for what is no token; -1: it is left out
  bool fuse_unknown = false;     ///< a run of them gives one id
  bool ignore_merges = false;    ///< a piece that is a token is taken whole
  bool byte_level = true;        ///< tokens are in the byte-level alphabet, pieces are bytes
  /// Ids of the tokens `<0x00>` to `<0xFF>` for characters that are no token, or empty.
  std::vector<std::int32_t> byte_ids;
};

/// Byte-pair encoding over bytes or over characters. Immutable for its users; safe in several
/// threads.
class BpeModel {
 public:
  explicit BpeModel(BpeParts parts);
  BpeModel(const BpeModel&) = delete;
  BpeModel& operator=(const BpeModel&) = delete;

  /// Appends the tokens of one piece, which is UTF-8, with their places in the piece.
  void encode(std::string_view piece, std::vector<Symbol>& out) const;

  /// By the text in the vocabulary; -1 when there is none.
  std::int32_t id_of(std::string_view token) const;
  /// Number of ids, unused ones among them.
  std::size_t size() const { return parts_.tokens.size(); }
  const BpeParts& parts() const { return parts_; }
  const MergeTable& merges() const { return merges_; }

 private:
  enum class Whole : std::uint8_t { kUnknown, kYes, kNo };
  /// Larger ones decide how a word is encoded.
  enum class ByteKind : std::uint8_t { kAscii, kLong, kNoToken };

  std::int32_t find_bytes(std::string_view bytes) const;
  bool is_whole(std::int32_t id, std::string_view piece) const;
  bool can_cut_at_spaces() const;
  void learn_chars();
  ByteKind kind_of(std::string_view word) const;
  void encode_word(std::string_view word, std::vector<Symbol>& out) const;
  void encode_by_merges(std::string_view word, std::vector<Symbol>& out) const;
  /// A part of a word that nothing merges across the ends of.
  struct Part {
    std::size_t begin = 0;
    std::size_t num_chars = 1;
    bool breaks = false;                   ///< at some border inside
    const CharCuts::Pair* pair = nullptr;  ///< the last two characters
  };
  void encode_parts(std::string_view word, std::vector<Symbol>& out) const;
  void encode_part(std::string_view word, const Part& part, std::size_t end, char32_t last,
                   std::vector<Symbol>& out) const;
  void add_bytes(std::string_view word, const CharIds* chars, std::vector<Symbol>& out) const;
  void add_chars(std::string_view word, std::vector<Symbol>& out) const;
  void spell_unknown(std::string_view word, std::vector<Symbol>& symbols, std::size_t from) const;
  void spell_bytes(std::string_view word, const Symbol& symbol, std::vector<Symbol>& out) const;

  BpeParts parts_;
  MergeTable merges_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::array<ByteKind, 256> byte_kinds_{};  ///< byte-level only
  /// Of tokens and helpers that are one character; byte-level: of those that words may begin with.
  CharIds char_ids_;
  CharIds unbroken_ids_;            ///< byte-level: further ones, where no border breaks them up
  CharCuts cuts_;                   ///< byte-level
  std::int32_t unknown_symbol_;     ///< an id that is in no merge
  bool cuts_at_spaces_ = false;     ///< no token goes on with U+2581 after another character
  std::size_t longest_ = 0;         ///< bytes of the longest token
  std::vector<std::string> bytes_;  ///< by id: what pieces are compared with
  TokenTable by_bytes_;             ///< of bytes_
  std::unordered_map<std::string_view, std::int32_t> others_;  ///< views into parts_.tokens
  /// Whether a token's own bytes merge to just that token; found out on first use.
  std::unique_ptr<std::atomic<Whole>[]> whole_;
};

}  // namespace distill::text::detail
