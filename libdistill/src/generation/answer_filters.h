#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <distill/core/text_pattern.h>
#include <distill/generation/generate_data.h>

namespace distill::generation {

/// The share of a text's runs of four words that were there before in it, 0 to 1; of a text that is
/// written without blanks, of its runs of eight characters. 0 for a short one.
double repetition(const std::string& text);

/// Which of the answers are good enough.
class AnswerFilters {
 public:
  /// Throws InputError for options that make no sense.
  explicit AnswerFilters(const GenerateDataOptions& options);
  ~AnswerFilters();

  /// The count of what is wrong with an answer; null: nothing, as far as its text tells.
  std::int64_t GenerateDataResult::*problem(const std::optional<TextAnswer>& answer) const;
  bool is_likely(double mean_log_prob) const;

 private:
  const GenerateDataOptions& options_;
  std::unique_ptr<core::TextPattern> pattern_;
};

}  // namespace distill::generation
