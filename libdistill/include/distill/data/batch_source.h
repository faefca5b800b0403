#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/describe.h>
#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/text/chat_template.h>
#include <distill/text/tokenizer.h>
#include <distill/types/batch.h>

namespace distill::data {

struct DataFile {
  std::string path;     ///< JSONL with `text` or `messages` rows
  double weight = 1.0;  ///< how often a row is seen relative to rows of the other files
};

struct DataOptions {
  std::vector<DataFile> train;
  std::vector<DataFile> eval;
  std::int64_t sequence_length = 2048;  ///< tokens of one row
  bool packing = true;                  ///< several documents share a row; attention stops at borders
  std::string chat_template = "auto";   ///< auto | chatml | none
  std::int64_t max_eval_rows = 0;       ///< 0: all
};
void describe(core::FieldVisitor& visit, DataFile& file);
void describe(core::FieldVisitor& visit, DataOptions& options);
void validate(const DataFile& file, core::Problems& problems);
void validate(const DataOptions& options, core::Problems& problems);

/// One row of at most sequence_length tokens: documents (or pieces of them) laid end to end.
struct Row {
  std::vector<std::int64_t> ids;
  std::vector<bool> is_target;         ///< the token at t is to be learned (unshifted)
  std::vector<std::int64_t> segments;  ///< offsets of documents, first 0, last ids.size()
};

/// Tokenized data in memory, cut and packed into rows in a fixed order.
class Dataset {
 public:
  /// Reads, tokenizes and packs. Throws FormatError naming FILE:LINE for a bad row; InputError when
  /// nothing is left to train on.
  static std::shared_ptr<const Dataset> load(const std::vector<DataFile>& files, const DataOptions& options,
                                             const text::Tokenizer& tokenizer,
                                             const text::ChatTemplate* chat, core::Logger& log);

  std::int64_t num_rows() const;
  std::int64_t num_tokens() const;
  std::int64_t num_targets() const;  ///< after the shift
  Row row(std::int64_t index) const;
  /// Hash of the rows: what was trained on.
  const std::string& fingerprint() const;

 private:
  struct Data;
  explicit Dataset(std::shared_ptr<const Data> data);
  std::shared_ptr<const Data> data_;
};

/// Rows side by side as one packed batch: shifted labels, mask, positions, segments.
types::Batch make_batch(const std::vector<Row>& rows);

/// Endless batches in a deterministic order: every epoch is a permutation of the rows that depends
/// on (seed, epoch) alone. Ranks take turns: rank r of n gets rows r, r + n, ... of that order.
/// A thread prepares batches ahead; what was prepared but not taken does not count as consumed.
class BatchStream {
 public:
  struct Options {
    std::uint64_t seed = 0;
    std::int64_t rows_per_batch = 1;
    std::int64_t rank = 0;
    std::int64_t num_ranks = 1;
    std::int64_t prefetch = 2;  ///< batches prepared ahead
  };
  BatchStream(std::shared_ptr<const Dataset> dataset, const Options& options);
  ~BatchStream();

  types::Batch next();

  /// Rows consumed by all ranks so far; with the seed this is the whole position. Part of the
  /// checkpoint format.
  std::int64_t position() const;
  void seek(std::int64_t position);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace distill::data
