#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include <c10/core/ScalarType.h>

#include <distill/commands/model_source.h>
#include <distill/core/log.h>
#include <distill/core/stop_flag.h>
#include <distill/ops/quantized_matrix.h>
#include <distill/recipe/options.h>

namespace distill::commands {

struct ServeTeacherOptions {
  std::filesystem::path model;
  AdapterSource adapter;
  std::string shared;                                 ///< name of shared memory; or
  std::string listen;                                 ///< HOST:PORT, over c10d
  c10::ScalarType dtype = c10::ScalarType::BFloat16;  ///< of weights and of what is handed over
  std::optional<ops::WeightFormat> quantize = {};     ///< as models::LoadOptions
  std::int64_t threads = 0;                           ///< of one pass; 0: as many as LibTorch takes
  bool stay = false;  ///< wait for others when the last student has gone
  bool json = false;
  recipe::Device device = recipe::Device::kAuto;  ///< where the model runs
  /// Bytes that weights may take, as in models::LoadOptions.
  std::optional<std::uint64_t> available_memory = {};
  const core::StopFlag* stop = nullptr;
};

/// Hands the model's last hidden states to students (`teacher: {kind: process}`) until the last of
/// them has gone or `stop` is requested, and writes what came of it as a line or one JSON object.
void serve_teacher(const ServeTeacherOptions& options, std::ostream& out, core::Logger& log);

}  // namespace distill::commands
