#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <distill/core/json_writer.h>

namespace distill::data {

/// A label that rows of a file have, and where it comes first.
struct SeenLabel {
  std::string name;
  std::int64_t line = 0;  ///< from 1
};

/// What one file of a list gives to an epoch.
struct FileReport {
  std::string path;
  std::string content_hash;  ///< core::hash_file
  double weight = 1.0;
  std::string label = {};                  ///< the recipe's name for what it holds, or empty
  std::vector<SeenLabel> row_labels = {};  ///< those of its rows, where each has its own
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t skipped = 0;         ///< rows that could not be used
  std::int64_t seen_documents = 0;  ///< in an epoch, copies by weight included
  std::int64_t seen_tokens = 0;     ///< the same, before documents are cut
};

/// What became of the files of a list: all that a user should know before training on it.
struct DataReport {
  std::vector<FileReport> files;
  std::int64_t documents = 0;              ///< of all files, each once
  std::int64_t skipped = 0;                ///< rows that could not be used
  std::vector<std::string> first_skipped;  ///< the first ten, `FILE:LINE: why`
  bool has_conversations = false;          ///< a chat template was used

  /// Lengths of the documents in tokens, each once.
  std::int64_t shortest = 0, median = 0, percentile_95 = 0, longest = 0;

  /// Of one epoch, copies by weight included:
  std::int64_t long_documents = 0;    ///< of more than sequence_length tokens
  std::int64_t tokens_cut_off = 0;    ///< left out with `long_documents: truncate` or `drop`
  std::int64_t tokens_unlearned = 0;  ///< left out in pieces with nothing to learn
  std::int64_t cut_to_fill = 0;       ///< pieces that were cut up to fill rows
  std::int64_t tokens = 0;            ///< in rows
  std::int64_t positions = 0;         ///< rows times sequence_length

  std::uint64_t memory_bytes = 0;  ///< held by the process for it

  /// Share of the positions that hold a token.
  double use() const {
    return positions > 0 ? static_cast<double>(tokens) / static_cast<double>(positions) : 0;
  }
  /// Share of the tokens that were cut off.
  double truncated() const {
    const double all = static_cast<double>(tokens + tokens_cut_off + tokens_unlearned);
    return all > 0 ? static_cast<double>(tokens_cut_off) / all : 0;
  }
};

/// One object with all of it.
void write_json(core::JsonWriter& json, const DataReport& report);

/// Lines for people, each begun with `indent`.
std::string report_text(const DataReport& report, const std::string& indent);

}  // namespace distill::data
