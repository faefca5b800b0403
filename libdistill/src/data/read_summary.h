#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <distill/data/document_row.h>
#include <distill/data/report.h>

namespace distill::data {

/// What was seen while a file was read.
struct ReadSummary {
  static constexpr std::size_t kMostNamed = 10;

  std::array<std::int64_t, choice_names(RowForm{}).size()> rows_by_form{};
  std::int64_t skipped = 0;  ///< rows that could not be used
  /// Why, of the first ten: what follows the file's name, `:12:3: ...`.
  std::vector<std::string> first_skipped;
  std::vector<SeenLabel> labels;  ///< of the rows, in the order in which they come first

  bool has_conversations() const {
    const auto count = [this](RowForm form) {
      return rows_by_form[static_cast<std::size_t>(form)];
    };
    return count(RowForm::kMessages) + count(RowForm::kConversations) +
               count(RowForm::kInstruction) >
           0;
  }
};

}  // namespace distill::data
