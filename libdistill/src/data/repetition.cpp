#include "data/repetition.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <distill/core/error.h>
#include <distill/core/random.h>

namespace distill::data {

namespace {

// Which documents get the broken part is fixed: the same files give the same rows, whatever the
// seed.
constexpr std::uint64_t kChoiceSeed = 0x77656967687473;

/// The indices, in order, that get one more copy.
std::vector<std::int64_t> chosen(std::int64_t count, double share, std::uint64_t stream) {
  std::vector<std::int64_t> picked = core::permutation(count, kChoiceSeed, stream);
  picked.resize(static_cast<std::size_t>(std::llround(share * static_cast<double>(count))));
  std::ranges::sort(picked);
  return picked;
}

/// Adds copy number `round` (from 0) of the file's documents, when they have one.
void add_round(const WeightedDocuments& file, double times, double round, std::uint64_t stream,
               std::vector<Span>& epoch) {
  if (round + 1 <= times) {
    epoch.insert(epoch.end(), file.documents.begin(), file.documents.end());
  } else if (round < times) {
    const auto count = static_cast<std::int64_t>(file.documents.size());
    for (const std::int64_t index : chosen(count, times - round, stream)) {
      epoch.push_back(file.documents[static_cast<std::size_t>(index)]);
    }
  }
}

}  // namespace

std::vector<Span> repeat_by_weight(const std::vector<WeightedDocuments>& files) {
  double smallest = std::numeric_limits<double>::infinity();
  double largest = 0;
  for (const auto& file : files) {
    smallest = std::min(smallest, file.weight);
    largest = std::max(largest, file.weight);
  }
  double copies = 0;
  for (const auto& file : files) {
    copies += file.weight / smallest * static_cast<double>(file.documents.size());
  }
  if (copies > kMostCopies) {
    fail<ConfigError>("data: the weights ask for ", copies,
                      " documents in one epoch, expected at most ", kMostCopies,
                      "; bring the weights of the files nearer together");
  }
  std::vector<Span> epoch;
  for (double round = 0; round < largest / smallest; ++round) {
    for (std::size_t f = 0; f < files.size(); ++f) {
      add_round(files[f], files[f].weight / smallest, round, f, epoch);
    }
  }
  return epoch;
}

}  // namespace distill::data
