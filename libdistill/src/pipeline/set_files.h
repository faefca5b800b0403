#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <distill/core/json_writer.h>
#include <distill/eval/set_result.h>
#include <distill/eval/set_summary.h>
#include <distill/io/json_value.h>

namespace distill::pipeline {

/// A model on the sets of a recipe, by their names in the recipe's order.
using SetResults = std::vector<std::pair<std::string, eval::SetResult>>;

/// Null: it is not among them.
const eval::SetResult* find_set(const SetResults& results, const std::string& name);

/// Row by row in a file of its own, so that a resumed run need not measure again and models can be
/// compared on the same rows.
void write_set_results(const std::filesystem::path& path, const SetResults& results);
/// Throws FormatError naming file and member.
SetResults read_set_results(const std::filesystem::path& path);

/// What eval::write_members wrote. Throws FormatError.
eval::SetSummary read_summary(const io::JsonCursor& object);

}  // namespace distill::pipeline
