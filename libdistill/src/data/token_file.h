#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/read_summary.h"

namespace distill::data {

/// A token: its id in the low 31 bits; the highest bit says that it is to be learned (unshifted).
/// Part of the token cache's format, as are DocumentEntry and their order.
using Word = std::uint32_t;
inline constexpr Word kTargetBit = Word{1} << 31;
inline std::int64_t id_of(Word word) {
  return word & ~kTargetBit;
}

/// One document of a file: it ends before token `end`, and begins where the one before ends.
struct DocumentEntry {
  std::uint64_t end = 0;
  std::uint32_t targets = 0;  ///< predictions it has to offer: its first token is never predicted
  std::uint32_t label = 0;    ///< n: the n-th of the summary's labels; 0: it has none
  bool operator==(const DocumentEntry&) const = default;
};

/// The tokens of one data file, in memory or mapped from the token cache. Nothing in it changes.
struct TokenFile {
  std::span<const Word> words;
  std::span<const DocumentEntry> documents;
  ReadSummary summary;
  std::string checksum;  ///< of words and documents: the same value, the same training data
  bool mapped = false;   ///< `words` cost no memory of the process
  std::shared_ptr<const void> owner;

  std::uint64_t begin_of(std::size_t document) const {
    return document == 0 ? 0 : documents[document - 1].end;
  }
  /// The document that a token belongs to.
  std::size_t document_at(std::uint64_t token) const {
    const auto found = std::ranges::upper_bound(documents, token, {}, &DocumentEntry::end);
    return static_cast<std::size_t>(found - documents.begin());
  }
  std::int64_t length_of(std::size_t document) const {
    return static_cast<std::int64_t>(documents[document].end - begin_of(document));
  }
};
using TokenFiles = std::vector<std::shared_ptr<const TokenFile>>;

/// Tokens [begin, begin + length) of one file: a piece of a document.
struct Span {
  std::int64_t begin = 0;
  std::int32_t length = 0;
  std::int32_t file = 0;
  bool operator==(const Span&) const = default;
};

inline std::span<const Word> words_of(const TokenFiles& files, const Span& span) {
  return files[static_cast<std::size_t>(span.file)]->words.subspan(
      static_cast<std::size_t>(span.begin), static_cast<std::size_t>(span.length));
}

/// Predictions that words have to offer.
inline std::int64_t count_targets(std::span<const Word> words) {
  if (words.empty()) return 0;
  return std::ranges::count_if(words.subspan(1),
                               [](Word word) { return (word & kTargetBit) != 0; });
}

}  // namespace distill::data
