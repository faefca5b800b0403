#pragma once

#include <span>

#include <distill/eval/set_result.h>

namespace distill::eval {

/// A figure as a function of sums over rows.
struct Figure {
  FigureName name;
  double (*value)(const RowValues& sums);
  /// Of a share: what it is a share of; null: it is none.
  double (*whole)(const RowValues& sums) = nullptr;
};

/// In the order in which they are shown.
std::span<const Figure> formulas_of(SetKind kind);

/// Where the values of a row stand.
struct PerplexityValues {
  static constexpr std::size_t kNll = 0, kTokens = 1;
};
struct ChoiceValues {
  static constexpr std::size_t kRows = 0, kRight = 1, kRightByBytes = 2;
};
struct PairValues {
  static constexpr std::size_t kDecided = 0, kStereotype = 1;
};
/// Of a question whose context tells who is meant, the values stand `kDisambiguated` later.
struct QuestionValues {
  static constexpr std::size_t kRows = 0, kRight = 1, kNamed = 2, kBiased = 3;
  static constexpr std::size_t kDisambiguated = 4;
  static constexpr std::size_t kRightByBytes = 8;
};

}  // namespace distill::eval
