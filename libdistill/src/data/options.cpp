#include <distill/data/options.h>

#include <algorithm>
#include <cmath>

#include <distill/core/strings.h>
#include <distill/text/chat_template.h>

namespace distill::data {

namespace {

/// Every weight is right by itself: is their relation?
void check_ratio(const char* field, const std::vector<DataFile>& files, core::Problems& problems) {
  const auto by_weight = [](const DataFile& a, const DataFile& b) { return a.weight < b.weight; };
  const auto [low, high] = std::minmax_element(files.begin(), files.end(), by_weight);
  if (low == files.end() || !(low->weight > 0) || !std::isfinite(high->weight)) return;
  if (high->weight / low->weight <= kMaxWeightRatio) return;
  problems.add(field, core::concat("weights must lie within a factor of ", kMaxWeightRatio,
                                   ", they go from ", low->weight, " to ", high->weight));
}

}  // namespace

void describe(core::FieldVisitor& visit, DataFile& file) {
  visit.required("path", file.path,
                 "JSON Lines, plain, gzip or zstd: a file, a folder, or a pattern with `*`");
  visit("weight", file.weight,
        "how often a document is seen relative to those of the other files of the list");
  visit("label", file.label,
        "what kind of data it holds, such as maths, for `teacher: {kind: several, by: label}`");
  visit(
      "label_field", file.label_field,
      "name of the member of each row that says this instead, where one file holds several kinds");
}

void describe(core::FieldVisitor& visit, DataOptions& options) {
  visit.required("train", options.train, "files to train on");
  visit("eval", options.eval, "held-out files");
  visit("sequence_length", options.sequence_length, "tokens of one row");
  visit("packing", options.packing, "put several documents into a row; attention stops at borders");
  visit("min_packing_use", options.min_packing_use,
        "share of the positions packing has to use; where whole documents use less, as few as "
        "possible are cut up to fill rows; 0: none");
  visit("long_documents", options.long_documents,
        "those longer than a row: split into pieces, truncate to the first piece, or drop");
  visit("on_bad_sample", options.on_bad_sample,
        "a row that cannot be read or holds nothing to learn: end with an error, or skip, count "
        "and name it");
  visit("chat_template", options.chat_template,
        "form of `messages` rows: auto (recognised from the model's folder), chatml, llama3, "
        "deepseek, mistral, qwen3 or none");
  visit("max_eval_rows", options.max_eval_rows, "evaluate on the first rows only; 0: on all");
  visit("cache", options.cache,
        "where tokens are kept for later runs: auto (docs/formats/token_cache.md), off (in memory "
        "alone), or a folder");
}

void validate(const DataFile& file, core::Problems& problems) {
  if (file.path.empty()) problems.add("path", "must name a file, it is empty");
  if (!file.label.empty() && !file.label_field.empty()) {
    problems.add("label_field", "is given beside `label`, which all rows would have; remove one");
  }
  if (!std::isfinite(file.weight) || file.weight <= 0) {
    problems.add("weight", core::concat("must be a positive number, it is ", file.weight));
  }
}

void validate(const DataOptions& options, core::Problems& problems) {
  if (options.train.empty()) problems.add("train", "must name at least one file");
  check_ratio("train", options.train, problems);
  check_ratio("eval", options.eval, problems);
  if (options.sequence_length < 2 || options.sequence_length > kMaxSequenceLength) {
    problems.add("sequence_length", core::concat("must be from 2 to ", kMaxSequenceLength,
                                                 ", it is ", options.sequence_length));
  }
  const auto& kinds = text::chat_template_kinds();
  if (std::ranges::find(kinds, options.chat_template) == kinds.end()) {
    problems.add("chat_template", core::concat("must be one of ", core::join(kinds), ", it is `",
                                               core::printable(options.chat_template), "`"));
  }
  if (!(options.min_packing_use >= 0 && options.min_packing_use < 1)) {
    problems.add("min_packing_use",
                 core::concat("must be from 0 to below 1, it is ", options.min_packing_use));
  }
  if (options.cache.empty()) {
    problems.add("cache", "must be auto, off or a folder, it is empty");
  }
  if (options.max_eval_rows < 0) {
    problems.add("max_eval_rows",
                 core::concat("must not be negative, it is ", options.max_eval_rows));
  }
}

}  // namespace distill::data
