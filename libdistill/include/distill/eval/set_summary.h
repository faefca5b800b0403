#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <distill/core/json_writer.h>
#include <distill/eval/set_result.h>

namespace distill::eval {

/// What is said of a model on a set, or of two models compared.
struct SetSummary {
  SetKind kind = SetKind::kPerplexity;
  std::int64_t rows = 0;
  std::int64_t cut = 0;  ///< rows whose context lost its beginning
  double seconds = 0;    ///< 0: not told
  std::vector<Estimate> figures;
  std::vector<CategoryEstimates> categories;

  /// NaN where there is none of the name.
  double value(std::string_view figure) const;
};

SetSummary summarise(const SetResult& result);
/// The figures are differences, `one` minus `other`. Throws as `differences`.
SetSummary compare(const SetResult& one, const SetResult& other);

/// Members of an open object: `kind`, `rows`, each figure by its name, `intervals` with [low, high]
/// of each, and where there are any `categories` by name, each with `rows`, figures and
/// `intervals`. What is not finite is null.
void write_members(core::JsonWriter& json, const SetSummary& summary);

/// For people: what a figure is called, and a value of it, such as `59.3 %`. `sign`: of a
/// difference, which always has one, and is in points where the figure is a share.
std::string title_of(std::string_view figure);
std::string value_text(std::string_view figure, double value, bool sign = false);
/// `59.3 % (53.7 to 64.7)`.
std::string estimate_text(const Estimate& estimate, bool sign = false);

}  // namespace distill::eval
