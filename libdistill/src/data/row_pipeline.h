#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <distill/data/document_row.h>

#include "data/document_encoder.h"

namespace distill::data {

/// What became of one line.
struct ReadRow {
  EncodedDocument document;  ///< empty without an encoder
  RowForm form = RowForm::kText;
  std::uint64_t text_bytes = 0;  ///< of its texts
  std::string label;             ///< empty: none was asked for
  std::int64_t line = 0;         ///< of the file, from 1
  std::string bad;               ///< why it cannot be used, `FILE:LINE: ...`; empty: it can
};

struct RowPipeline {
  const DocumentEncoder* encoder = nullptr;  ///< null: rows are parsed and checked only
  std::int64_t threads = 0;                  ///< 0: one a processor
  std::string label_field = {};              ///< as parse_document_row takes it
  /// Each row in the order of the file. May throw.
  std::function<void(ReadRow&&)> take;
  /// Called often with the bytes of the file that were read. May throw, may be empty.
  std::function<void(std::uint64_t bytes)> between = {};
};

/// Reads a data file: this thread takes lines and rows, others parse and tokenize. What is held at
/// a time is bounded (about 64 MiB of lines, and one line more), whatever the file's size.
/// Returns core::hash_file of the bytes that were read. Throws what is no fault of a single row: a
/// file that is not there or is damaged, a missing template; and what `take` and `between` throw.
std::string read_rows(const std::filesystem::path& path, const RowPipeline& pipeline);

}  // namespace distill::data
