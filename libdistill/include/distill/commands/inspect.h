#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include <distill/core/log.h>

namespace distill::commands {

struct InspectOptions {
  std::filesystem::path path;
  bool check = false;           ///< read all of it and list every problem
  std::filesystem::path model;  ///< base model or tokenizer for what needs one (data)
  bool json = false;
};

/// What was found at a path.
struct Inspection {
  std::string kind;  ///< `model folder`, `run folder`, `JSONL data`, ...
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<std::string> problems;  ///< filled by `check`: one line each
};

/// Throws InputError when the path is none of the things libdistill reads or writes.
Inspection inspect(const InspectOptions& options);

/// Writes it as a table or as JSON. Returns the exit code: 2 when there is a problem, else 0.
int print_inspection(const Inspection& inspection, bool json, std::ostream& out);

}  // namespace distill::commands
