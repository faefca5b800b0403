#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <c10/core/ScalarType.h>
#include <CLI/CLI.hpp>

#include <distill/commands/model_source.h>

namespace distill::cli {

/// `Dtype` is a c10::ScalarType, or an optional one.
template <class Dtype>
CLI::Option* add_dtype(CLI::App& app, Dtype& dtype) {
  static const std::map<std::string, c10::ScalarType> kNames = {
      {"fp32", c10::ScalarType::Float}, {"bf16", c10::ScalarType::BFloat16}};
  return app.add_option("--dtype", dtype, "Type of weights and activations")
      ->transform(CLI::CheckedTransformer(kNames, CLI::ignore_case))
      ->option_text("fp32|bf16");
}

void add_device(CLI::App& app, recipe::Device& device);
void add_ignore_memory(CLI::App& app, std::optional<std::uint64_t>& available_memory);
/// `what`: said of the folder in the help.
void add_adapter(CLI::App& app, commands::AdapterSource& adapter, const char* what);
/// A model, how it is held and where it runs.
void add_model_source(CLI::App& app, commands::ModelSource& source);

}  // namespace distill::cli
