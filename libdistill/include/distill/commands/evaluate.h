#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include <distill/commands/model_source.h>
#include <distill/core/log.h>

namespace distill::commands {

struct EvaluateCommandOptions {
  ModelSource source;             ///< `quantize` is not of the teacher
  std::filesystem::path teacher;  ///< empty: none; needed for agreement
  std::vector<std::string> data;  ///< JSONL files
  /// perplexity | agreement (which needs a teacher) | choice | bias (docs/evaluation.md)
  std::string task = "perplexity";
  std::string chat_template = "auto";
  std::int64_t sequence_length = 512;
  std::int64_t max_rows = 0;  ///< 0: all
  bool json = false;
};

/// Measures the model on held-out rows and writes a small table, or one JSON object.
void evaluate_model(const EvaluateCommandOptions& options, std::ostream& out, core::Logger& log);

}  // namespace distill::commands
