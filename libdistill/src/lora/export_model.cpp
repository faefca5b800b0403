#include <distill/lora/export_model.h>

#include <string>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/strings.h>
#include <distill/io/safetensors.h>
#include <distill/lora/merge.h>
#include <distill/models/save.h>

namespace distill::lora {

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

/// Parameters that are stored in another type than the one written. `dtype` of the parameters.
void warn_of_rounding(const io::SafetensorsFolder& weights, const models::CausalLm& model,
                      c10::ScalarType dtype, core::Logger& log) {
  if (dtype == c10::ScalarType::Float) return;
  std::int64_t count = 0;
  std::string first;
  for (const auto& [name, parameter] : model.parameters()) {
    const auto found = weights.tensors().find(name);
    if (found == weights.tensors().end()) continue;
    const c10::ScalarType stored = found->second.entry->dtype;
    if (stored == dtype || stored == c10::ScalarType::Float8_e4m3fn) continue;
    if (count++ == 0) first = name;
  }
  if (count == 0) return;
  log.warning(count, count == 1 ? " tensor" : " tensors", " of another type than bfloat16 ",
              count == 1 ? "is" : "are", " rounded to it (`", core::printable(first), "`",
              count == 1 ? "" : ", ...", "); --dtype fp32 keeps every value");
}

/// fp32 where any weight is stored in another type than bf16.
c10::ScalarType widest_dtype(const io::SafetensorsFolder& weights) {
  for (const auto& [name, location] : weights.tensors()) {
    if (location.entry->dtype != c10::ScalarType::BFloat16) return c10::ScalarType::Float;
  }
  return c10::ScalarType::BFloat16;
}

/// Only a model folder, such as an earlier export, goes: nothing else of the user's is in it.
void check_replaceable(const ExportOptions& options) {
  if (!core::path_exists(options.out)) return;
  if (core::is_same_path(options.model, options.out)) {
    fail<InputError>(options.out.string(),
                     ": is the model itself, whose files are in use; choose another folder");
  }
  bool is_model = core::is_folder(options.out) && core::path_exists(options.out / "config.json");
  if (is_model) {
    for (const auto& path : core::list_folder(options.out)) {
      is_model = is_model && !core::is_folder(path);
    }
  }
  if (is_model) return;
  fail<InputError>(options.out.string(),
                   ": is no model folder (config.json and no folder in it), "
                   "so --force does not replace it; choose another folder");
}

ExportDtypes dtypes_of(const ExportOptions& options, const io::SafetensorsFolder& weights) {
  ExportDtypes dtypes;
  dtypes.written = options.dtype ? *options.dtype : stored_dtype(weights, options.model);
  // A merged weight is rounded once, on its way into the file.
  const bool merges = !options.adapter.folder.empty();
  dtypes.held = merges ? widest_dtype(weights) : dtypes.written;
  return dtypes;
}

}  // namespace

ExportDtypes export_dtypes(const ExportOptions& options) {
  return dtypes_of(options, io::SafetensorsFolder::open(options.model));
}

void export_model(const ExportOptions& options, core::Logger& log) {
  if (options.force) check_replaceable(options);
  const auto weights = io::SafetensorsFolder::open(options.model);
  const bool merges = !options.adapter.folder.empty();
  const auto [held, dtype] = dtypes_of(options, weights);
  const auto model =
      load_model(options.model, options.adapter,
                 {.dtype = held, .available_memory = options.available_memory, .log = &log});
  if (merges) merge(*model);
  warn_of_rounding(weights, *model, dtype, log);
  models::save_causal_lm(*model, options.out,
                         {.base_folder = options.model,
                          .dtype = dtype,
                          .max_shard_bytes = options.max_shard_bytes,
                          .replace = options.force});
  const auto written = io::SafetensorsFolder::open(options.out);
  log.info(options.out.string(), ": ", core::with_thousands(model->shape().num_parameters),
           " parameters as ", dtype == c10::ScalarType::Float ? "float32" : "bfloat16", ", ",
           core::human_bytes(written.size_bytes()), " in ", written.files().size(),
           written.files().size() == 1 ? " file" : " files");
}

}  // namespace distill::lora
