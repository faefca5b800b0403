#include <distill/commands/export_model.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>
#include <distill/io/safetensors.h>
#include <distill/models/load.h>
#include <distill/models/save.h>

namespace distill::commands {

namespace {

/// The type of the weights, looked at from the largest down: norms, biases and scales are often
/// kept in a wider one.
c10::ScalarType stored_dtype(const io::SafetensorsFolder& weights,
                             const std::filesystem::path& folder) {
  std::uint64_t most = 0;
  auto dtype = c10::ScalarType::Float;
  for (const auto& [name, location] : weights.tensors()) {
    const std::uint64_t bytes = location.entry->end - location.entry->begin;
    if (bytes <= most) continue;
    most = bytes;
    dtype = location.entry->dtype;
  }
  switch (dtype) {
    case c10::ScalarType::Float:
    case c10::ScalarType::BFloat16:
      return dtype;
    case c10::ScalarType::Float8_e4m3fn:
      return c10::ScalarType::BFloat16;
    default:
      fail<ConfigError>(folder.string(), ": the weights are ", c10::toString(dtype),
                        ", which is not written; choose --dtype fp32 (keeps every value) or bf16");
  }
}

}  // namespace

void export_model(const ExportOptions& options, core::Logger& log) {
  const auto weights = io::SafetensorsFolder::open(options.model);
  const auto dtype = options.dtype ? *options.dtype : stored_dtype(weights, options.model);
  const auto model = models::load_causal_lm(options.model, {.dtype = dtype, .log = &log});
  models::save_causal_lm(
      *model, options.out,
      {.base_folder = options.model, .dtype = dtype, .max_shard_bytes = options.max_shard_bytes});
  const auto written = io::SafetensorsFolder::open(options.out);
  log.info(options.out.string(), ": ", core::with_thousands(model->shape().num_parameters),
           " parameters as ", dtype == c10::ScalarType::Float ? "float32" : "bfloat16", ", ",
           core::human_bytes(written.size_bytes()), " in ", written.files().size(),
           written.files().size() == 1 ? " file" : " files");
}

}  // namespace distill::commands
