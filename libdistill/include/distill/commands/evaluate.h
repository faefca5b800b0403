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
#include <distill/ops/quantized_matrix.h>
#include <distill/recipe/options.h>

namespace distill::commands {

struct EvaluateCommandOptions {
  std::filesystem::path model;
  AdapterSource adapter;
  std::filesystem::path teacher;  ///< empty: none; needed for agreement
  std::vector<std::string> data;  ///< JSONL files
  std::string task =
      "perplexity";  ///< perplexity | agreement (which adds KL and top-1 to the teacher)
  std::string chat_template = "auto";
  std::int64_t sequence_length = 512;
  std::int64_t max_rows = 0;  ///< 0: all
  c10::ScalarType dtype = c10::ScalarType::BFloat16;
  /// Bytes that weights may take, as in models::LoadOptions.
  std::optional<std::uint64_t> available_memory = {};
  /// Hold the model's projections in few bits (not the teacher's), as
  /// models::LoadOptions::quantize.
  std::optional<ops::WeightFormat> quantize = {};
  recipe::Device device = recipe::Device::kAuto;  ///< where the model runs
  bool json = false;
};

/// Measures the model on held-out text and writes a small table, or one JSON object.
void evaluate_model(const EvaluateCommandOptions& options, std::ostream& out, core::Logger& log);

}  // namespace distill::commands
