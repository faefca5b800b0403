#include <distill/data/batch_stream.h>

#include <utility>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/random.h>
#include <distill/data/make_batch.h>

#include "data/batch_queue.h"

namespace distill::data {

namespace {

// Keeps the shuffle apart from other uses of the run's seed. Part of the checkpoint format.
constexpr std::uint64_t kShuffleStream = std::uint64_t{0xda7a} << 48;
constexpr std::int64_t kMaxRowsPerStep = std::int64_t{1} << 32;
constexpr std::int64_t kMaxPosition = std::int64_t{1} << 62;

/// The endless order of rows. One permutation is kept: positions are asked for in rising order.
class EpochOrder {
 public:
  EpochOrder(std::int64_t num_rows, std::uint64_t seed) : num_rows_(num_rows), seed_(seed) {}

  std::int64_t row_at(std::int64_t position) {
    const std::int64_t epoch = position / num_rows_;
    if (epoch != epoch_) {
      order_ =
          core::permutation(num_rows_, seed_, kShuffleStream + static_cast<std::uint64_t>(epoch));
      epoch_ = epoch;
    }
    return order_[static_cast<std::size_t>(position % num_rows_)];
  }

 private:
  std::int64_t num_rows_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
};

void check(const Dataset* dataset, const BatchStream::Options& o) {
  if (dataset == nullptr || dataset->num_rows() == 0)
    fail<InputError>("there are no rows to take batches from");
  if (o.rows_per_batch < 1 || o.num_ranks < 1 || o.rows_per_batch > kMaxRowsPerStep / o.num_ranks) {
    fail<InputError>("rows per batch and number of ranks must be positive, with at most ",
                     kMaxRowsPerStep, " rows for all ranks; they are ", o.rows_per_batch, " and ",
                     o.num_ranks);
  }
  if (o.rank < 0 || o.rank >= o.num_ranks) {
    fail<InputError>("rank must be from 0 to ", o.num_ranks - 1, ", it is ", o.rank);
  }
  if (o.prefetch < 0 || o.prefetch > 1024) {
    fail<InputError>("prefetch must be from 0 to 1024 batches, it is ", o.prefetch);
  }
}

}  // namespace

struct BatchStream::Impl {
  Impl(std::shared_ptr<const Dataset> rows, const Options& o)
      : dataset(std::move(rows)),
        options(o),
        order(dataset->num_rows(), o.seed),
        queue([this](std::int64_t position) { return make(position); },
              o.rows_per_batch * o.num_ranks, o.prefetch) {}

  types::Batch make(std::int64_t position) {
    std::vector<Row> rows;
    rows.reserve(static_cast<std::size_t>(options.rows_per_batch));
    for (std::int64_t i = 0; i < options.rows_per_batch; ++i) {
      rows.push_back(dataset->row(order.row_at(position + options.rank + i * options.num_ranks)));
    }
    types::Batch batch = make_batch(rows);
    batch.vocabulary = dataset->vocabulary();
    if (options.prepared) options.prepared(batch);
    return batch;
  }

  std::shared_ptr<const Dataset> dataset;
  Options options;
  EpochOrder order;  // of the thread that makes batches
  BatchQueue queue;  // last: its thread uses what is above
};

BatchStream::BatchStream(std::shared_ptr<const Dataset> dataset, const Options& options) {
  check(dataset.get(), options);
  impl_ = std::make_unique<Impl>(std::move(dataset), options);
}

BatchStream::~BatchStream() = default;

types::Batch BatchStream::next() {
  return impl_->queue.next();
}
std::int64_t BatchStream::position() const {
  return impl_->queue.position();
}

void BatchStream::seek(std::int64_t position) {
  if (position < 0 || position > kMaxPosition) {
    fail<InputError>("the position in the data must be from 0 to 2^62, it is ", position);
  }
  impl_->queue.seek(position);
}

}  // namespace distill::data
