#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <distill/commands/model_source.h>
#include <distill/core/log.h>

namespace distill::commands {

struct ChooseLayersCommandOptions {
  ModelSource source;
  std::vector<std::string> data;  ///< JSONL files
  std::int64_t keep = 0;          ///< layers of the student
  std::string chat_template = "auto";
  std::int64_t sequence_length = 256;
  std::int64_t tokens = 10240;  ///< that are read of the data, about
  bool json = false;
};

/// Finds which layers of the model a student had best begin with (models::choose_layers) and
/// writes them as a recipe takes them, beside evenly spaced ones, or as one JSON object.
void choose_layers(const ChooseLayersCommandOptions& options, std::ostream& out, core::Logger& log);

}  // namespace distill::commands
