#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <c10/core/ScalarType.h>

#include <distill/commands/model_source.h>
#include <distill/core/log.h>
#include <distill/models/generate.h>
#include <distill/ops/quantized_matrix.h>
#include <distill/recipe/options.h>

namespace distill::commands {

struct GenerateCommandOptions {
  std::filesystem::path model;
  AdapterSource adapter;
  std::string prompt;          ///< plain text to continue; or
  std::filesystem::path chat;  ///< JSONL with `messages`: each conversation gets its next answer
  std::string chat_template = "auto";
  models::GenerateOptions generate;  ///< max_new_tokens also ends at the model's last position
  std::vector<std::string> stop;     ///< texts at which an answer ends; they are not shown
  c10::ScalarType dtype = c10::ScalarType::BFloat16;
  /// Bytes that weights may take, as in models::LoadOptions.
  std::optional<std::uint64_t> available_memory = {};
  /// Hold the projections in few bits, as models::LoadOptions::quantize.
  std::optional<ops::WeightFormat> quantize = {};
  recipe::Device device = recipe::Device::kAuto;  ///< where the model runs
  bool json = false;  ///< one object per prompt: prompt, text, ids, tokens_per_second
};

/// One prompt's text is written as it comes, several in their order as they are complete; the speed
/// goes to the log.
void generate(const GenerateCommandOptions& options, std::ostream& out, core::Logger& log);

}  // namespace distill::commands
