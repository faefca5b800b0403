#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace distill::eval {

/// What is measured on a set; decides its figures.
enum class SetKind {
  kPerplexity,  ///< perplexity
  kChoice,      ///< accuracy, accuracy_norm
  kPairs,       ///< stereotype_share
  kQuestions,   ///< accuracy, accuracy_norm, accuracy_ambiguous, accuracy_disambiguated,
                ///< stereotype_share, bias_score, bias_score_disambiguated
};
constexpr std::array<std::string_view, 4> choice_names(SetKind) {
  return {"perplexity", "choice", "pairs", "questions"};
}

/// What a model did on one row. Figures are functions of sums of these over rows.
inline constexpr std::size_t kMostValues = 9;
using RowValues = std::array<double, kMostValues>;
/// How many of them a kind uses, the first ones. Part of the run folder's format.
constexpr std::size_t num_values(SetKind kind) {
  return kind == SetKind::kQuestions ? kMostValues : kind == SetKind::kChoice ? 3 : 2;
}

/// A model on a set, row by row, so that two models can be compared on the same rows.
struct SetResult {
  SetKind kind = SetKind::kPerplexity;
  std::vector<std::string> categories = {};      ///< names; empty: there are none
  std::vector<std::size_t> row_categories = {};  ///< of each row, where there are any
  std::vector<RowValues> rows = {};              ///< the values that the kind does not use are 0
  std::int64_t cut = 0;  ///< rows whose context lost its beginning to fit the model's positions
  double seconds = 0;    ///< it took, summed over ranks
};

/// A figure with the ends of its 95 % interval; any of them may be NaN, where there is nothing to
/// divide by.
struct Estimate {
  std::string name;
  double value = 0;
  double low = 0;
  double high = 0;
};

/// The figures of some rows.
struct CategoryEstimates {
  std::string name;
  std::int64_t rows = 0;
  std::vector<Estimate> figures;
};

/// How a figure changes for the worse.
enum class Worse { kNever, kWhenLower, kWhenHigher };

/// How much worse `after` is than `before`, relative to it: 0.05 is by 5 percent, below 0 is
/// better. A change from 0 is infinite, none is 0; NaN where one of them is, or it never is worse.
double worsening(Worse worse, double before, double after);

struct FigureName {
  std::string_view name;
  Worse worse = Worse::kNever;
};
/// The figures of a kind in their order; the first is what is shown where there is room for one.
std::vector<FigureName> figures_of(SetKind kind);

/// Shares have Wilson's interval; others that of 1,000 bootstrap samples of the rows with a fixed
/// seed.
std::vector<Estimate> estimates(const SetResult& result);
/// The same by category, in the order of their names; empty where there are none.
std::vector<CategoryEstimates> estimates_by_category(const SetResult& result);

/// `one` minus `other` of each figure. The intervals are of bootstrap samples that take the same
/// rows of both: what makes a row hard for both models does not widen them. Throws InputError where
/// they are not of the same rows.
std::vector<Estimate> differences(const SetResult& one, const SetResult& other);
std::vector<CategoryEstimates> differences_by_category(const SetResult& one,
                                                       const SetResult& other);

}  // namespace distill::eval
