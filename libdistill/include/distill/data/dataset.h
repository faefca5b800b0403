#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <distill/core/log.h>
#include <distill/data/options.h>
#include <distill/data/report.h>
#include <distill/data/row_reading.h>
#include <distill/text/alignment.h>

namespace distill::data {

/// What a teacher with another tokenizer reads for one row.
struct TeacherRow {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> segments;    ///< as below; pieces without chunks have none
  std::vector<text::TokenChunk> chunks;  ///< in tokens of the row and of `ids`, rising; all targets
  std::int64_t vocabulary = 0;           ///< ids of the teacher's tokenizer
  std::int64_t runs = 0;                 ///< texts that were compared
  std::int64_t runs_left_out = 0;        ///< since tokenizers or templates changed them
  std::string difference;                ///< of the first of those, for people
};

/// One row of at most sequence_length tokens: documents (or pieces of them) laid end to end.
struct Row {
  std::vector<std::int64_t> ids;
  std::vector<bool> is_target;             ///< the token at t is to be learned (unshifted)
  std::vector<std::int64_t> segments;      ///< offsets of documents, first 0, last ids.size()
  std::vector<std::string> labels = {};    ///< of the segments; empty: no file or row has one
  std::optional<TeacherRow> teacher = {};  ///< when rows are read for another teacher too
};

/// How much of what is learned a teacher with another tokenizer can speak about.
struct Coverage {
  std::int64_t rows = 0;     ///< that were looked at
  std::int64_t tokens = 0;   ///< of the student in them
  std::int64_t targets = 0;  ///< tokens to learn in them
  std::int64_t covered = 0;  ///< of those in chunks
  std::int64_t chunks = 0;
  std::int64_t teacher_tokens = 0;  ///< that the teacher reads for them
  std::int64_t runs = 0;            ///< texts that were compared
  std::int64_t runs_left_out = 0;
  std::string difference;  ///< of the first of those, for people
  double share() const {
    return targets == 0 ? 0 : static_cast<double>(covered) / static_cast<double>(targets);
  }
  /// Tokens of the teacher for each of the student's; 1 where nothing was looked at.
  double teacher_tokens_a_token() const {
    return tokens == 0 ? 1 : static_cast<double>(teacher_tokens) / static_cast<double>(tokens);
  }
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
  /// copies of documents. With a teacher's reading the files are read once more, and FormatError
  /// is thrown where that gives another number of documents.
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
  /// Of at most `most_rows` rows, evenly spread. All zeros without a teacher's reading.
  Coverage coverage(std::int64_t most_rows) const;
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
