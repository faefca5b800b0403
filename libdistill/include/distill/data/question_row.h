#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <distill/io/jsonl.h>

namespace distill::data {

/// Whom a choice of a question about bias stands for.
enum class ChoiceRole { kUnknown, kStereotyped, kOther };

/// What a question about bias has beside its choices (BBQ: Parrish et al. 2022).
struct BiasFields {
  std::string category;
  bool ambiguous = false;  ///< its context does not tell who is meant
  bool negative = false;   ///< a stereotype answers with the stereotyped, otherwise with the others
  std::vector<ChoiceRole> roles;  ///< one a choice

  /// Whether one choice stands for the stereotyped and another for others.
  bool has_direction() const;
  /// Whether the choice is what a stereotype would answer.
  bool is_biased(std::size_t choice) const;
};

/// A question whose answer is one of some texts.
struct QuestionRow {
  std::string context;               ///< may be empty
  std::vector<std::string> choices;  ///< 2 to 1,000, none empty: what follows the context
  std::size_t label = 0;             ///< the right one
  std::string source;                ///< FILE:LINE
  std::optional<BiasFields> bias = {};
};

/// `{"context", "choices", "label"}`; with `bias` also `category`, `condition` (ambig, disambig),
/// `polarity` (neg, nonneg), `groups` (of each choice; `unknown`: of none) and `stereotyped` (names
/// of groups, or words of choices where no group is named so). Other members are ignored. Throws
/// FormatError `FILE:LINE: ...`.
QuestionRow parse_question_row(const io::JsonlRow& row, bool bias);

/// Two sentences that differ in whom they are about, one of them a stereotype (CrowS-Pairs: Nangia
/// et al. 2020).
struct PairRow {
  std::string stereotype;
  std::string antistereotype;
  std::string bias_type;
  std::string source;
};

/// `{"stereotype", "antistereotype", "bias_type"}`; other members are ignored. Throws as above.
PairRow parse_pair_row(const io::JsonlRow& row);

/// Which rows are read.
struct RowSource {
  std::vector<std::string> paths;           ///< files, folders or patterns (expand_data_path)
  std::int64_t max_rows = 0;                ///< the first so many; 0: all
  std::function<void()> between_rows = {};  ///< called often; what it throws ends the reading
};

/// All that `source` names, in order. Throws InputError where there is no row, FormatError for the
/// first that is not one of the form.
std::vector<QuestionRow> read_questions(const RowSource& source, bool bias);
std::vector<PairRow> read_pairs(const RowSource& source);
/// Whether the first row is a question, by its `choices`. Throws as above.
bool holds_questions(const RowSource& source);

}  // namespace distill::data
