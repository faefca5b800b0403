#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include <distill/commands/model_source.h>
#include <distill/core/log.h>
#include <distill/models/generate.h>

namespace distill::commands {

struct GenerateCommandOptions {
  ModelSource source;
  std::string prompt;          ///< plain text to continue; or
  std::filesystem::path chat;  ///< JSONL with `messages`: each conversation gets its next answer
  std::string chat_template = "auto";
  models::GenerateOptions generate;  ///< max_new_tokens also ends at the model's last position
  std::vector<std::string> stop;     ///< texts at which an answer ends; they are not shown
  bool json = false;  ///< one object per prompt: prompt, text, ids, tokens_per_second
};

/// One prompt's text is written as it comes, several in their order as they are complete; the speed
/// goes to the log.
void generate(const GenerateCommandOptions& options, std::ostream& out, core::Logger& log);

}  // namespace distill::commands
