#pragma once

#include <algorithm>
#include <string>

#include <distill/eval/set_result.h>

namespace distill::eval {

/// Notes the category of the next row; nothing for rows of none.
inline void add_category(SetResult& result, const std::string& category) {
  if (category.empty()) return;
  const auto found = std::ranges::find(result.categories, category);
  result.row_categories.push_back(static_cast<std::size_t>(found - result.categories.begin()));
  if (found == result.categories.end()) result.categories.push_back(category);
}

}  // namespace distill::eval
