#include "text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "text/unicode.h"

namespace distill::text::detail {

TokenTrie::TokenTrie() : nodes_(1) {}

std::optional<std::size_t> TokenTrie::child(std::size_t node, unsigned char byte) const {
  using Edge = std::pair<unsigned char, std::size_t>;
  const auto& next = nodes_[node].next;
  const auto found = std::ranges::lower_bound(next, byte, {}, &Edge::first);
  if (found == next.end() || found->first != byte) return std::nullopt;
  return found->second;
}

void TokenTrie::add(std::string_view token, std::size_t value) {
  starts_[static_cast<unsigned char>(token[0])] = true;
  std::size_t node = 0;
  for (const char c : token) {
    const auto byte = static_cast<unsigned char>(c);
    std::optional<std::size_t> next = child(node, byte);
    if (!next) {
      next = nodes_.size();
      auto& edges = nodes_[node].next;
      edges.insert(std::ranges::lower_bound(edges, std::pair(byte, std::size_t{0})), {byte, *next});
      nodes_.emplace_back();
    }
    node = *next;
  }
  if (!nodes_[node].value) nodes_[node].value = value;
}

std::optional<TokenTrie::Match> TokenTrie::longest(std::string_view text, std::size_t at) const {
  if (!starts_[static_cast<unsigned char>(text[at])]) return std::nullopt;
  std::optional<Match> best;
  std::size_t node = 0;
  for (; at < text.size(); ++at) {
    const auto next = child(node, static_cast<unsigned char>(text[at]));
    if (!next) break;
    node = *next;
    if (nodes_[node].value) best = Match{at + 1, *nodes_[node].value};
  }
  return best;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (!token.normalized) {
      raw_.add(token.content, i);
    } else if (const std::string content = normalizer.apply(token.content); !content.empty()) {
      normalized_.add(content, i);
    }
  }
}

namespace {

/// No word character touches [begin, end).
bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin > 0) {
    std::size_t before = begin - 1;
    while ((static_cast<unsigned char>(text[before]) & 0xC0) == 0x80) --before;
    if (is_word_char(code_point_at(text, before).value)) return false;
  }
  return end == text.size() || !is_word_char(code_point_at(text, end).value);
}

}  // namespace

std::vector<Segment> AddedTokens::split(std::string_view text, Pass pass,
                                        bool parse_special) const {
  const TokenTrie& trie = pass == Pass::kRaw ? raw_ : normalized_;
  std::vector<Segment> segments;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !trie.empty();) {
    const auto match = trie.longest(text, at);
    if (!match) {
      ++at;
      continue;
    }
    const std::size_t begin = at;
    at = match->end;
    const AddedToken& token = tokens_[match->value];
    if (token.special && !parse_special) continue;
    if (token.single_word && !stands_alone(text, begin, at)) continue;
    const std::size_t start =
        token.lstrip ? white_space_begin(text, std::min(done, begin), begin) : begin;
    const std::size_t stop = token.rstrip ? white_space_end(text, at) : at;
    if (done < start) segments.push_back({done, start, -1});
    segments.push_back({start, stop, token.id});
    done = stop;
  }
  if (done < text.size()) segments.push_back({done, text.size(), -1});
  return segments;
}

}  // namespace distill::text::detail
