#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <distill/data/dataset.h>
#include <distill/types/batch.h>

namespace distill::data {

/// Endless batches in a deterministic order: every epoch is a permutation of the rows that depends
/// on (seed, epoch) alone; epochs follow each other without a gap, so that a batch may hold the
/// last rows of one and the first of the next. Ranks take turns: rank r of n gets rows r, r + n,
/// ... of that order, counted from the position the stream was last set to.
/// A thread prepares batches ahead; what was prepared but not taken does not count as consumed.
/// One thread at a time may use a stream.
class BatchStream {
 public:
  struct Options {
    std::uint64_t seed = 0;
    std::int64_t rows_per_batch = 1;
    std::int64_t rank = 0;
    std::int64_t num_ranks = 1;
    std::int64_t prefetch = 2;  ///< batches prepared ahead; 0: made when asked for, no thread
    /// Told of every batch as it is prepared, by the thread that does it. May be empty; what it
    /// throws is thrown by `next`. After a `seek` it is told of other batches than were announced.
    std::function<void(const types::Batch&)> prepared = {};
  };
  /// Throws InputError for an empty dataset or options out of range.
  BatchStream(std::shared_ptr<const Dataset> dataset, const Options& options);
  ~BatchStream();

  /// The next batch of this rank. Throws what went wrong while it was prepared.
  types::Batch next();

  /// Rows consumed by all ranks so far; with the seed this is the whole position. Part of the
  /// checkpoint format. A position saved with n ranks may be taken up with another number.
  std::int64_t position() const;
  /// Throws InputError when negative.
  void seek(std::int64_t position);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::data
