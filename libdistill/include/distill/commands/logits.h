#pragma once

#include <cstdint>
#include <filesystem>

#include <c10/core/ScalarType.h>

#include <distill/commands/model_source.h>
#include <distill/core/log.h>

namespace distill::commands {

struct LogitsOptions {
  ModelSource source = {.dtype = c10::ScalarType::Float};
  std::filesystem::path ids;  ///< one sequence of ids a line, separated by spaces
  std::filesystem::path
      out;  ///< safetensors: logits_0, logits_1, ... float32 [sequence, vocabulary]
};

/// Throws InputError naming FILE:LINE for a bad id. `out` appears whole or not at all.
void write_logits(const LogitsOptions& options, core::Logger& log);

}  // namespace distill::commands
