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
void add_round(const WeightedDocuments& file, std::int32_t index, double times, double round,
               std::vector<DocumentId>& epoch) {
  const auto add = [&](std::int64_t number) {
    epoch.push_back({index, static_cast<std::uint32_t>(number)});
  };
  if (round + 1 <= times) {
    for (std::int64_t number = 0; number < file.count; ++number) add(number);
  } else if (round < times) {
    const auto stream = static_cast<std::uint64_t>(index);
    for (const std::int64_t number : chosen(file.count, times - round, stream)) add(number);
  }
}

}  // namespace

std::vector<DocumentId> repeat_by_weight(const std::vector<WeightedDocuments>& files) {
  double smallest = std::numeric_limits<double>::infinity();
  double largest = 0;
  for (const auto& file : files) {
    if (file.count > std::numeric_limits<std::uint32_t>::max()) {
      fail<InputError>("a data file with ", file.count,
                       " documents, expected at most 2^32; "
                       "split the file");
    }
    smallest = std::min(smallest, file.weight);
    largest = std::max(largest, file.weight);
  }
  double copies = 0;
  for (const auto& file : files) {
    copies += file.weight / smallest * static_cast<double>(file.count);
  }
  if (largest > smallest && copies > kMostCopies) {
    fail<ConfigError>("data: the weights ask for ", copies,
                      " documents in one epoch, expected at most ", kMostCopies,
                      "; bring the weights of the files nearer together");
  }
  std::vector<DocumentId> epoch;
  epoch.reserve(static_cast<std::size_t>(copies) + files.size());
  for (double round = 0; round < largest / smallest; ++round) {
    for (std::size_t f = 0; f < files.size(); ++f) {
      add_round(files[f], static_cast<std::int32_t>(f), files[f].weight / smallest, round, epoch);
    }
  }
  return epoch;
}

}  // namespace distill::data
