#include "text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "text/normalizer.h"
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

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, bool nfc) : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (!token.normalized) {
      raw_.add(token.content, i);
    } else if (nfc) {
      normalized_.add(NfcText(token.content).text(), i);
    } else {
      normalized_.add(token.content, i);
    }
  }
}

namespace {

std::size_t space_begin(std::string_view text, std::size_t low, std::size_t end) {
  while (end > low) {
    std::size_t start = end - 1;
    while (start > low && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    if (classify(text, start).kind != CharClass::kSpace) break;
    end = start;
  }
  return end;
}

std::size_t space_end(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const ClassifiedChar next = classify(text, at);
    if (next.kind != CharClass::kSpace) break;
    at += next.size;
  }
  return at;
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
    const std::size_t start =
        token.lstrip ? space_begin(text, std::min(done, begin), begin) : begin;
    const std::size_t stop = token.rstrip ? space_end(text, at) : at;
    if (done < start) segments.push_back({done, start, -1});
    segments.push_back({start, stop, token.id});
    done = stop;
  }
  if (done < text.size()) segments.push_back({done, text.size(), -1});
  return segments;
}

}  // namespace distill::text::detail
