#include "model_arguments.h"

#include <limits>

namespace distill::cli {

namespace {

void add_quantize(CLI::App& app, std::optional<ops::WeightFormat>& quantize) {
  static const std::map<std::string, ops::WeightFormat> kNames = {
      {"int8", ops::WeightFormat::kInt8},
      {"fp8", ops::WeightFormat::kFp8},
      {"nf4", ops::WeightFormat::kNf4}};
  app.add_option("--quantize", quantize, "Hold the model's projections in few bits")
      ->transform(CLI::CheckedTransformer(kNames, CLI::ignore_case))
      ->option_text("int8|fp8|nf4");
}

}  // namespace

void add_device(CLI::App& app, recipe::Device& device) {
  static const std::map<std::string, recipe::Device> kNames = {{"auto", recipe::Device::kAuto},
                                                               {"cpu", recipe::Device::kCpu},
                                                               {"cuda", recipe::Device::kCuda}};
  app.add_option("--device", device, "Where it runs; cuda is the first GPU")
      ->transform(CLI::CheckedTransformer(kNames, CLI::ignore_case))
      ->option_text("auto|cpu|cuda");
}

/// The way out for those who have swap.
void add_ignore_memory(CLI::App& app, std::optional<std::uint64_t>& available_memory) {
  const auto ignore = [&available_memory](std::int64_t) {
    available_memory = std::numeric_limits<std::uint64_t>::max();
  };
  app.add_flag_function("--ignore-memory", ignore,
                        "Load a model that needs more memory than is available");
}

void add_adapter(CLI::App& app, commands::AdapterSource& adapter, const char* what) {
  auto* folder = app.add_option("--adapter", adapter.folder, what);
  app.add_flag("--any-base", adapter.any_base,
               "Take an adapter that was trained on another base of the same shapes")
      ->needs(folder);
}

void add_model_source(CLI::App& app, commands::ModelSource& source) {
  app.add_option("--model", source.model, "Model folder")->required();
  add_adapter(app, source.adapter, "Adapter folder");
  add_dtype(app, source.dtype);
  add_quantize(app, source.quantize);
  add_ignore_memory(app, source.available_memory);
  add_device(app, source.device);
}

}  // namespace distill::cli
