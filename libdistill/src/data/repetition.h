#pragma once

#include <vector>

#include "data/token_store.h"

namespace distill::data {

/// The documents of one file and the file's weight (positive, finite).
struct WeightedDocuments {
  std::vector<Span> documents;
  double weight = 1.0;
};

/// A copy costs memory: 16 bytes here, and as much again for each of its pieces.
inline constexpr double kMostCopies = 268'435'456;  // 2^28

/// The documents of one epoch. A file with w times the smallest weight gives each of its documents
/// floor(w) times and a share of w - floor(w) of them once more, chosen by a fixed permutation.
/// First come all documents in order, then the second copies of those that have one, and so on,
/// so that copies lie far apart. Throws ConfigError when they would be more than kMostCopies.
std::vector<Span> repeat_by_weight(const std::vector<WeightedDocuments>& files);

}  // namespace distill::data
