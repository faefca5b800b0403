#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/merge_table.h"
#include "text/sentencepiece_model.h"

namespace distill::text::detail {

/// The best path through a unigram model (Kudo, "Subword regularization", 2018), with the choice
/// between paths of equal score that sentencepiece 0.2 makes; the installed library may be older.
class Unigram {
 public:
  /// The model must outlive it.
  explicit Unigram(const SentencePieceModel& model);

  /// Whether the model has none of the kinds of pieces that are rare.
  static bool supports(const SentencePieceModel& model);

  /// Tokens of a normalized text, one unknown token for a run of unknown characters.
  std::vector<Symbol> encode(std::string_view normalized) const;

 private:
  struct Entry {
    std::int32_t id = 0;
    float score = 0;
  };
  std::unordered_map<std::string_view, Entry> pieces_;
  std::size_t longest_ = 0;  ///< bytes
  std::int32_t unknown_id_ = 0;
  float unknown_score_ = 0;
};

}  // namespace distill::text::detail
