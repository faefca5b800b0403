#pragma once

#include <cstdint>
#include <vector>

namespace distill::data {

/// The documents of one file, by their number, and the file's weight (positive, finite).
struct WeightedDocuments {
  std::int64_t count = 0;
  double weight = 1.0;
};

/// Document `number` of file `file` of a list.
struct DocumentId {
  std::int32_t file = 0;
  std::uint32_t number = 0;
  bool operator==(const DocumentId&) const = default;
};

/// A copy costs memory: 8 bytes here, and 16 for each of its pieces.
inline constexpr double kMostCopies = 268'435'456;  // 2^28

/// The documents of one epoch. A file with w times the smallest weight gives each of its documents
/// floor(w) times and a share of w - floor(w) of them once more, chosen by a fixed permutation.
/// First come all documents in order, then the second copies of those that have one, and so on,
/// so that copies lie far apart. Throws ConfigError when copies make more than kMostCopies of them,
/// InputError for a file with more than 2^32 documents.
std::vector<DocumentId> repeat_by_weight(const std::vector<WeightedDocuments>& files);

}  // namespace distill::data
