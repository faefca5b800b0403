#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <distill/core/describe.h>
#include <distill/eval/evaluation_set.h>

namespace distill::eval {

/// A set of a recipe, by a name that its figures have in reports.
struct NamedSetOptions {
  std::string name;  ///< letters, digits, `_` and `-`
  std::string path;
  SetTask task = SetTask::kPerplexity;
  std::int64_t max_rows = 0;  ///< 0: all

  SetSource source() const { return {task, {path}, max_rows}; }
};

void describe(core::FieldVisitor& visit, NamedSetOptions& options);
void validate(const NamedSetOptions& options, core::Problems& problems);

/// Whether figures of a set can be called so.
bool is_set_name(const std::string& name);
/// Two sets of one name are a problem of `field`.
void require_distinct_names(const std::vector<NamedSetOptions>& sets, const char* field,
                            core::Problems& problems);

}  // namespace distill::eval
