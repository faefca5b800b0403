#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/merge_table.h"

namespace distill::text::detail {

/// What a BPE model is made of.
struct BpeParts {
  std::vector<std::string>
      tokens;  ///< by id, in the byte-level alphabet; empty where there is none
  std::vector<MergeRule> merges;
  std::int32_t unknown_id = -1;  ///< for bytes that are no token; -1: they are left out
  bool fuse_unknown = false;     ///< a run of them gives one id
  bool ignore_merges = false;    ///< a piece that is a token is taken whole
};

/// Byte-pair encoding over bytes. Immutable for its users; safe in several threads.
class BpeModel {
 public:
  explicit BpeModel(BpeParts parts);
  BpeModel(const BpeModel&) = delete;
  BpeModel& operator=(const BpeModel&) = delete;

  /// Appends the tokens of one piece, with their places in the piece.
  void encode(std::string_view piece, std::vector<Symbol>& out) const;

  /// By the text in the vocabulary; -1 when there is none.
  std::int32_t id_of(std::string_view token) const;
  /// Number of ids, unused ones among them.
  std::size_t size() const { return parts_.tokens.size(); }
  const BpeParts& parts() const { return parts_; }
  const MergeTable& merges() const { return merges_; }

 private:
  enum class Whole : std::uint8_t { kUnknown, kYes, kNo };

  std::int32_t find_bytes(std::string_view bytes) const;
  bool is_whole(std::int32_t id, std::string_view piece) const;
  void encode_by_merges(std::string_view piece, std::vector<Symbol>& out) const;

  BpeParts parts_;
  MergeTable merges_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::vector<std::string> bytes_;  ///< by id, for tokens of the byte-level alphabet
  std::unordered_map<std::string_view, std::int32_t> by_bytes_;  ///< views into bytes_
  std::unordered_map<std::string_view, std::int32_t> others_;    ///< views into parts_.tokens
  /// Whether a token's own bytes merge to just that token; found out on first use.
  std::unique_ptr<std::atomic<Whole>[]> whole_;
};

}  // namespace distill::text::detail
