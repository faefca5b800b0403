#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "data/repetition.h"
#include "data/token_sink.h"

namespace distill::testing {

/// A document of `length` tokens with rising ids from 1, of which those from `first_target` on are
/// to be learned.
inline data::EncodedDocument encoded(std::int64_t length, std::int64_t first_target = 0) {
  data::EncodedDocument document;
  for (std::int64_t i = 0; i < length; ++i) {
    document.words.push_back(static_cast<data::Word>(i + 1) |
                             (i >= first_target ? data::kTargetBit : 0));
  }
  document.targets = static_cast<std::uint64_t>(data::count_targets(document.words));
  return document;
}

inline std::shared_ptr<const data::TokenFile> token_file(
    const std::vector<data::EncodedDocument>& documents) {
  const auto sink = data::make_memory_sink();
  for (const auto& document : documents) sink->add(document);
  return sink->finish({});
}

/// All documents of one file.
inline std::vector<data::DocumentId> all_documents(std::size_t count) {
  std::vector<data::DocumentId> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back({0, static_cast<std::uint32_t>(i)});
  return ids;
}

}  // namespace distill::testing
