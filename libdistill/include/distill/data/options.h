#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/describe.h>

namespace distill::data {

struct DataFile {
  std::string path;        ///< JSON Lines: a file, a folder of them, or a pattern with * ? [ ]
  double weight = 1.0;     ///< how often a document is seen relative to those of the other files
  std::string label = {};  ///< what kind of data it holds, for teachers that are chosen by it
  std::string label_field = {};  ///< the member of each row that says so instead; empty: none does
};

/// What is done with a row that cannot be read or holds nothing to learn.
enum class OnBadSample { kError, kSkip };
constexpr std::array<std::string_view, 2> choice_names(OnBadSample) {
  return {"error", "skip"};
}

/// What is done with a document of more than sequence_length tokens.
enum class LongDocuments { kSplit, kTruncate, kDrop };
constexpr std::array<std::string_view, 3> choice_names(LongDocuments) {
  return {"split", "truncate", "drop"};
}

struct DataOptions {
  std::vector<DataFile> train;
  std::vector<DataFile> eval;
  std::int64_t sequence_length = 2048;  ///< tokens of one row
  bool packing = true;  ///< several documents share a row; attention stops at borders
  /// Share of the positions that packing has to use. Where whole documents leave more unused, as
  /// few of them as possible are cut up to fill rows; 0: none is.
  double min_packing_use = 0.98;
  LongDocuments long_documents = LongDocuments::kSplit;
  OnBadSample on_bad_sample = OnBadSample::kError;
  std::string chat_template = "auto";  ///< see text::chat_template_kinds
  std::int64_t max_eval_rows = 0;      ///< 0: all
  /// Where tokens are kept between runs: auto (the folder that the program names), off (nowhere:
  /// they are held in memory), or a folder.
  std::string cache = "auto";
};

/// Limits on what a recipe may ask for.
inline constexpr std::int64_t kMaxSequenceLength = std::int64_t{1} << 20;
inline constexpr double kMaxWeightRatio = 1000;  ///< largest over smallest weight of a list

void describe(core::FieldVisitor& visit, DataFile& file);
void describe(core::FieldVisitor& visit, DataOptions& options);
void validate(const DataFile& file, core::Problems& problems);
void validate(const DataOptions& options, core::Problems& problems);

}  // namespace distill::data
