#pragma once

#include <map>
#include <string>

namespace distill::recipe {

/// Where the values of a recipe were written, for messages about them after it was read.
struct SourceMap {
  std::string file;                           ///< as it was given; empty: the recipe has no text
  std::string prefix;                         ///< of dotted paths: `stages.1`; or empty
  std::map<std::string, std::string> places;  ///< `FILE:LINE`, by dotted path without the prefix

  /// `FILE:LINE: dotted.path`: of the value, or of what is around it. The path alone where nothing
  /// is known.
  std::string where(const std::string& path) const;
};

}  // namespace distill::recipe
