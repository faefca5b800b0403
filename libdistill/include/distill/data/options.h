#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <distill/core/describe.h>

namespace distill::data {

struct DataFile {
  std::string path;     ///< JSONL with `text` or `messages` rows
  double weight = 1.0;  ///< how often a document is seen relative to those of the other files
};

struct DataOptions {
  std::vector<DataFile> train;
  std::vector<DataFile> eval;
  std::int64_t sequence_length = 2048;  ///< tokens of one row
  bool packing = true;  ///< several documents share a row; attention stops at borders
  std::string chat_template = "auto";  ///< auto | chatml | none
  std::int64_t max_eval_rows = 0;      ///< 0: all
};

/// Limits on what a recipe may ask for.
inline constexpr std::int64_t kMaxSequenceLength = std::int64_t{1} << 20;
inline constexpr double kMaxWeightRatio = 1000;  ///< largest over smallest weight of a list

void describe(core::FieldVisitor& visit, DataFile& file);
void describe(core::FieldVisitor& visit, DataOptions& options);
void validate(const DataFile& file, core::Problems& problems);
void validate(const DataOptions& options, core::Problems& problems);

}  // namespace distill::data
