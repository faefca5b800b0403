#include "text/bpe_model.h"

#include <utility>

#include "text/byte_alphabet.h"

namespace distill::text::detail {

BpeModel::BpeModel(BpeParts parts)
    : parts_(std::move(parts)),
      merges_(std::exchange(parts_.merges, {}), parts_.tokens.size()),
      bytes_(parts_.tokens.size()),
      whole_(std::make_unique<std::atomic<Whole>[]>(parts_.tokens.size())) {
  by_bytes_.reserve(parts_.tokens.size());
  for (std::size_t id = 0; id < parts_.tokens.size(); ++id) {
    const std::string& token = parts_.tokens[id];
    if (token.empty()) continue;
    if (auto bytes = bytes_of_byte_level(token)) {
      bytes_[id] = std::move(*bytes);
      by_bytes_.emplace(bytes_[id], static_cast<std::int32_t>(id));
    } else {
      others_.emplace(token, static_cast<std::int32_t>(id));
    }
  }
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids_[byte] = find_bytes({&c, 1});
  }
}

std::int32_t BpeModel::find_bytes(std::string_view bytes) const {
  const auto found = by_bytes_.find(bytes);
  return found == by_bytes_.end() ? -1 : found->second;
}

std::int32_t BpeModel::id_of(std::string_view token) const {
  if (const auto bytes = bytes_of_byte_level(token)) return find_bytes(*bytes);
  const auto found = others_.find(token);
  return found == others_.end() ? -1 : found->second;
}

void BpeModel::encode(std::string_view piece, std::vector<Symbol>& out) const {
  const std::int32_t id = find_bytes(piece);
  if (id >= 0 && (parts_.ignore_merges || is_whole(id, piece))) {
    out.push_back({id, 0, piece.size()});
  } else {
    encode_by_merges(piece, out);
  }
}

bool BpeModel::is_whole(std::int32_t id, std::string_view piece) const {
  // Two threads may both find out: they store the same answer.
  std::atomic<Whole>& known = whole_[static_cast<std::size_t>(id)];
  Whole whole = known.load(std::memory_order_relaxed);
  if (whole == Whole::kUnknown) {
    std::vector<Symbol> symbols;
    encode_by_merges(piece, symbols);
    whole = symbols.size() == 1 && symbols[0].id == id ? Whole::kYes : Whole::kNo;
    known.store(whole, std::memory_order_relaxed);
  }
  return whole == Whole::kYes;
}

void BpeModel::encode_by_merges(std::string_view piece, std::vector<Symbol>& out) const {
  const std::size_t from = out.size();
  bool after_unknown = false;
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const std::int32_t id = byte_ids_[static_cast<unsigned char>(piece[i])];
    if (id >= 0) {
      out.push_back({id, i, i + 1});
    } else if (parts_.unknown_id >= 0) {
      if (after_unknown && parts_.fuse_unknown) {
        out.back().end = i + 1;
      } else {
        out.push_back({parts_.unknown_id, i, i + 1});
      }
    }
    after_unknown = id < 0;
  }
  apply_merges(merges_, out, from);
}

}  // namespace distill::text::detail
