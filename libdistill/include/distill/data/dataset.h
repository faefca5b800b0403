#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/data/options.h>
#include <distill/data/report.h>
#include <distill/data/row_reading.h>

namespace distill::data {

/// One row of at most sequence_length tokens: documents (or pieces of them) laid end to end.
struct Row {
  std::vector<std::int64_t> ids;
  std::vector<bool> is_target;           ///< the token at t is to be learned (unshifted)
  std::vector<std::int64_t> segments;    ///< offsets of documents, first 0, last ids.size()
  std::vector<std::string> labels = {};  ///< of the segments' files; empty: no file has one
};

/// Tokenized data, cut and packed into rows in a fixed order; docs/formats/data.md says by which
/// rules. Tokens lie in memory, or in files of the token cache that are mapped: then only some
/// bytes a document are held. Cheap to share: nothing in it changes.
class Dataset {
 public:
  /// Reads and tokenizes what the token cache does not hold, cuts and packs. `path`s may name
  /// folders and patterns. Throws FormatError naming FILE:LINE for a bad row (unless they are
  /// skipped); InputError when nothing is left to train on, or a file is missing or damaged;
  /// ConfigError for options that `validate` would refuse, or weights that ask for more than 2^28
  /// copies of documents.
  static std::shared_ptr<const Dataset> load(const std::vector<DataFile>& files,
                                             const DataOptions& options,
                                             const text::Tokenizer& tokenizer,
                                             const text::ChatTemplate* chat, core::Logger& log);
  static std::shared_ptr<const Dataset> load(const std::vector<DataFile>& files,
                                             const DataOptions& options, const RowReading& reading,
                                             core::Logger& log);

  /// The first `count` rows (all, when there are fewer), sharing the tokens. For `max_eval_rows`.
  std::shared_ptr<const Dataset> first_rows(std::int64_t count) const;

  std::int64_t num_rows() const;
  std::int64_t num_tokens() const;   ///< of all rows, repetitions by weight included
  std::int64_t num_targets() const;  ///< after the shift
  std::int64_t vocabulary() const;   ///< ids of the tokenizer
  /// Throws InputError when there is no such row.
  Row row(std::int64_t index) const;
  /// Hash of the rows (ids, targets, segments): what was trained on. Part of the checkpoint format.
  const std::string& fingerprint() const;
  /// What became of the files; of `first_rows` that of all rows.
  const DataReport& report() const;

 private:
  struct Data;
  explicit Dataset(std::shared_ptr<const Data> data);
  std::shared_ptr<const Data> data_;
};

}  // namespace distill::data
