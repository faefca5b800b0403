#include <distill/eval/set_options.h>

#include <algorithm>
#include <cctype>
#include <set>

#include <distill/core/strings.h>

namespace distill::eval {

using core::concat;

void describe(core::FieldVisitor& visit, NamedSetOptions& options) {
  visit.required("name", options.name,
                 "what the set is called in reports and limits: letters, digits, `_` and `-`");
  visit.required("path", options.path, "JSON Lines: a file, a folder or a pattern");
  visit("task", options.task,
        "perplexity of texts, choice by likelihood, or bias: pairs of sentences or questions "
        "(docs/evaluation.md)");
  visit("max_rows", options.max_rows, "rows to measure, the first ones; 0: all");
}

bool is_set_name(const std::string& name) {
  constexpr std::size_t kLongest = 60;
  return !name.empty() && name.size() <= kLongest && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
  });
}

void validate(const NamedSetOptions& options, core::Problems& problems) {
  if (!is_set_name(options.name)) {
    problems.add("name", concat("must be 1 to 60 letters, digits, `_` and `-`, it is `",
                                core::printable(options.name), "`"));
  }
  if (options.path.empty()) problems.add("path", "must name a file, it is empty");
  if (options.max_rows < 0) {
    problems.add("max_rows", concat("must not be negative, it is ", options.max_rows));
  }
}

void require_distinct_names(const std::vector<NamedSetOptions>& sets, const char* field,
                            core::Problems& problems) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (seen.insert(sets[i].name).second) continue;
    problems.add(concat(field, ".", i, ".name"),
                 concat("is `", core::printable(sets[i].name), "`, as another set is called"));
  }
}

}  // namespace distill::eval
