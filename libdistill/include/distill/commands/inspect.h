#pragma once

#include <cstdint>
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
  std::int64_t sample = 0;      ///< show the tokens of this row of a data file, from 1; 0: none
  bool json = false;
};

/// Neighbouring tokens of a sample of which all or none are learned.
struct SamplePart {
  std::string text;  ///< special tokens written out
  bool learned = false;
  std::int64_t tokens = 0;
};

/// What was found at a path.
struct Inspection {
  std::string kind;  ///< `model folder`, `run folder`, `JSONL data`, ...
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<SamplePart> sample;     ///< when one was asked for
  std::vector<std::string> problems;  ///< filled by `check`: one line each
};

/// Throws InputError when the path is none of the things libdistill reads or writes.
Inspection inspect(const InspectOptions& options);

enum class InspectionForm { kPlain, kColoured, kJson };

/// Writes it as a table, learned lines of a sample marked with `>` and where wanted in colour, or
/// as JSON. Returns the exit code: 2 when there is a problem, else 0.
int print_inspection(const Inspection& inspection, InspectionForm form, std::ostream& out);

}  // namespace distill::commands
