#pragma once

#include <string>
#include <vector>

#include <distill/recipe/source_map.h>

/// Messages of several lines that become parts of a list of problems.
namespace distill::pipeline {

/// Without empty ones.
std::vector<std::string> lines_of(const std::string& text);

/// A message of wiring, which may begin with a dotted path, with its place in the file.
std::string located(const recipe::SourceMap& source, const std::string& line);

/// In the order of the file, those without a `FILE:LINE:` first.
void sort_by_line(std::vector<std::string>& problems);

}  // namespace distill::pipeline
