#include "text/bpe_model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/char_merges.h"
#include "text/unicode.h"

namespace distill::text::detail {
namespace {

/// What SentencePiece writes for a space.
constexpr std::string_view kSpace = "\xE2\x96\x81";

bool is_one_char(std::string_view text) {
  return !text.empty() && code_point_at(text, 0).size == text.size();
}

/// kSpace after another character.
bool has_inner_space(std::string_view token) {
  for (std::size_t at = token.find(kSpace); at != std::string_view::npos;
       at = token.find(kSpace, at + kSpace.size())) {
    if (at > 0 && !token.substr(0, at).ends_with(kSpace)) return true;
  }
  return false;
}

}  // namespace

BpeModel::BpeModel(BpeParts parts)
    : parts_(std::move(parts)),
      merges_(std::exchange(parts_.merges, {}), parts_.tokens.size() + parts_.helpers.size() + 1),
      unknown_symbol_(static_cast<std::int32_t>(parts_.tokens.size() + parts_.helpers.size())),
      bytes_(parts_.tokens.size()),
      whole_(std::make_unique<std::atomic<Whole>[]>(parts_.tokens.size())) {
  for (std::size_t id = 0; id < parts_.tokens.size(); ++id) {
    const std::string& token = parts_.tokens[id];
    if (token.empty()) continue;
    auto bytes = parts_.byte_level ? bytes_of_byte_level(token) : std::optional(token);
    if (bytes) {
      bytes_[id] = std::move(*bytes);
      longest_ = std::max(longest_, bytes_[id].size());
    } else {
      others_.emplace(token, static_cast<std::int32_t>(id));
    }
  }
  by_bytes_ = TokenTable(bytes_);
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids_[byte] = find_bytes({&c, 1});
  }
  if (parts_.byte_level) {
    learn_chars();
    return;
  }
  std::int32_t id = 0;
  for (const auto* list : {&parts_.tokens, &parts_.helpers}) {
    for (const std::string& token : *list) {
      if (is_one_char(token)) char_ids_.set(code_point_at(token, 0).value, id);
      ++id;
    }
  }
  cuts_at_spaces_ = can_cut_at_spaces();
}

void BpeModel::learn_chars() {
  for (std::size_t byte = 0; byte < byte_kinds_.size(); ++byte) {
    byte_kinds_[byte] = byte_ids_[byte] < 0 ? ByteKind::kNoToken
                        : byte < 0x80       ? ByteKind::kAscii
                                            : ByteKind::kLong;
  }
  WholeChars chars = chars_to_begin_with(merges_, bytes_, byte_ids_);
  char_ids_ = std::move(chars.always);
  unbroken_ids_ = std::move(chars.between);
  const auto encode = [this](std::string_view text, std::vector<Symbol>& out) {
    encode_by_merges(text, out);
  };
  cuts_ = CharCuts(merges_, bytes_, byte_ids_, encode);
}

bool BpeModel::can_cut_at_spaces() const {
  if (parts_.ignore_merges || find_bytes(kSpace) < 0) return false;
  // What is left out lets its neighbours merge.
  if (parts_.unknown_id < 0 && parts_.byte_ids.empty()) return false;
  return std::ranges::none_of(merges_.rules(), [&](const MergeRule& rule) {
    return has_inner_space(parts_.tokens[static_cast<std::size_t>(rule.result)]);
  });
}

std::int32_t BpeModel::find_bytes(std::string_view bytes) const {
  if (bytes.size() > longest_) return -1;
  return by_bytes_.find(bytes_, bytes);
}

std::int32_t BpeModel::id_of(std::string_view token) const {
  if (!parts_.byte_level) return find_bytes(token);
  if (const auto bytes = bytes_of_byte_level(token)) return find_bytes(*bytes);
  const auto found = others_.find(token);
  return found == others_.end() ? -1 : found->second;
}

void BpeModel::encode(std::string_view piece, std::vector<Symbol>& out) const {
  if (!cuts_at_spaces_) return encode_word(piece, out);
  // Nothing merges across the beginning of a run of spaces: each word can stand for itself.
  for (std::size_t begin = 0; begin < piece.size();) {
    std::size_t end = begin;
    while (piece.substr(end).starts_with(kSpace)) end += kSpace.size();
    end = std::min(piece.find(kSpace, end), piece.size());
    const std::size_t first = out.size();
    encode_word(piece.substr(begin, end - begin), out);
    for (std::size_t i = first; i < out.size(); ++i) {
      out[i].begin += begin;
      out[i].end += begin;
    }
    begin = end;
  }
}

void BpeModel::encode_word(std::string_view word, std::vector<Symbol>& out) const {
  const bool has_parts = !cuts_.empty() && kind_of(word) == ByteKind::kLong;
  if (has_parts && !parts_.ignore_merges) return encode_parts(word, out);
  const std::int32_t id = find_bytes(word);
  if (id >= 0 && (parts_.ignore_merges || is_whole(id, word))) {
    out.push_back({id, 0, word.size()});
  } else if (has_parts) {
    encode_parts(word, out);
  } else {
    encode_by_merges(word, out);
  }
}

BpeModel::ByteKind BpeModel::kind_of(std::string_view word) const {
  auto kind = ByteKind::kAscii;
  for (const char c : word) kind = std::max(kind, byte_kinds_[static_cast<unsigned char>(c)]);
  return kind;
}

void BpeModel::encode_parts(std::string_view word, std::vector<Symbol>& out) const {
  CodePoint last = code_point_at(word, 0);
  Part part;
  for (std::size_t at = last.size; at < word.size();) {
    const CodePoint next = code_point_at(word, at);
    const CharCuts::Border border = cuts_.border(last.value, next.value);
    if (border.is_cut) {
      encode_part(word, part, at, last.value, out);
      part = {at};
    } else {
      ++part.num_chars;
      part.breaks |= border.breaks;
      part.pair = border.pair;
    }
    last = next;
    at += next.size;
  }
  encode_part(word, part, word.size(), last.value, out);
}

void BpeModel::encode_part(std::string_view word, const Part& part, std::size_t end, char32_t last,
                           std::vector<Symbol>& out) const {
  const std::size_t begin = part.begin;
  if (part.num_chars == 1 && cuts_.add_alone(word, last, begin, end, out)) return;
  if (part.num_chars == 2 && part.pair && part.pair->first >= 0) {
    const bool two = part.pair->second >= 0;
    const std::size_t middle = begin + part.pair->first_size;
    out.push_back({part.pair->first, begin, middle});
    if (two) out.push_back({part.pair->second, middle, end});
    return;
  }
  const std::size_t from = out.size();
  const std::string_view text = word.substr(begin, end - begin);
  const std::int32_t id = find_bytes(text);
  if (id >= 0 && is_whole(id, text)) {
    out.push_back({id, 0, text.size()});
  } else {
    add_bytes(text, part.breaks ? &char_ids_ : &unbroken_ids_, out);
    apply_merges(merges_, out, from);
  }
  for (std::size_t i = from; i < out.size(); ++i) {
    out[i].begin += begin;
    out[i].end += begin;
  }
}

bool BpeModel::is_whole(std::int32_t id, std::string_view word) const {
  // Two threads may both find out: they store the same answer.
  std::atomic<Whole>& known = whole_[static_cast<std::size_t>(id)];
  Whole whole = known.load(std::memory_order_relaxed);
  if (whole == Whole::kUnknown) {
    std::vector<Symbol> symbols;
    encode_by_merges(word, symbols);
    whole = symbols.size() == 1 && symbols[0].id == id ? Whole::kYes : Whole::kNo;
    known.store(whole, std::memory_order_relaxed);
  }
  return whole == Whole::kYes;
}

void BpeModel::encode_by_merges(std::string_view word, std::vector<Symbol>& out) const {
  const std::size_t from = out.size();
  if (parts_.byte_level) {
    // A byte that is no token may be left out, and then anything stands beside anything.
    add_bytes(word, kind_of(word) == ByteKind::kNoToken ? nullptr : &char_ids_, out);
    apply_merges(merges_, out, from);
  } else {
    add_chars(word, out);
    apply_merges(merges_, out, from);
    spell_unknown(word, out, from);
  }
}

void BpeModel::add_bytes(std::string_view word, const CharIds* chars,
                         std::vector<Symbol>& out) const {
  bool after_unknown = false;
  for (std::size_t i = 0; i < word.size();) {
    const auto byte = static_cast<unsigned char>(word[i]);
    if (byte >= 0xC0 && chars) {
      const CodePoint point = code_point_at(word, i);
      if (const std::int32_t whole = chars->find(point.value); whole >= 0) {
        out.push_back({whole, i, i + point.size});
        i += point.size;
        after_unknown = false;
        continue;
      }
    }
    const std::int32_t id = byte_ids_[byte];
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
    ++i;
  }
}

void BpeModel::add_chars(std::string_view word, std::vector<Symbol>& out) const {
  const bool left_out = parts_.unknown_id < 0 && parts_.byte_ids.empty();
  for (std::size_t at = 0; at < word.size();) {
    const CodePoint point = code_point_at(word, at);
    const std::int32_t id = char_ids_.find(point.value);
    if (id >= 0 || !left_out) {
      out.push_back({id >= 0 ? id : unknown_symbol_, at, at + point.size});
    }
    at += point.size;
  }
}

/// Characters that are no token and merged with nothing become bytes or the unknown token.
void BpeModel::spell_unknown(std::string_view word, std::vector<Symbol>& symbols,
                             std::size_t from) const {
  const auto num_tokens = static_cast<std::int32_t>(parts_.tokens.size());
  const auto is_unknown = [&](const Symbol& symbol) { return symbol.id >= num_tokens; };
  const auto begin = symbols.begin() + static_cast<std::ptrdiff_t>(from);
  const auto first = std::find_if(begin, symbols.end(), is_unknown);
  if (first == symbols.end()) return;
  const std::vector<Symbol> rest(first, symbols.end());
  symbols.erase(first, symbols.end());
  bool after_unknown = false;
  for (const Symbol& symbol : rest) {
    if (!is_unknown(symbol)) {
      symbols.push_back(symbol);
    } else if (!parts_.byte_ids.empty()) {
      spell_bytes(word, symbol, symbols);
    } else if (after_unknown && parts_.fuse_unknown) {
      symbols.back().end = symbol.end;
    } else if (parts_.unknown_id >= 0) {
      symbols.push_back({parts_.unknown_id, symbol.begin, symbol.end});
    }
    after_unknown = is_unknown(symbol);
  }
}

void BpeModel::spell_bytes(std::string_view word, const Symbol& symbol,
                           std::vector<Symbol>& out) const {
  for (std::size_t at = symbol.begin; at < symbol.end; ++at) {
    const auto byte = static_cast<unsigned char>(word[at]);
    out.push_back({parts_.byte_ids[byte], at, at + 1});
  }
}

}  // namespace distill::text::detail
