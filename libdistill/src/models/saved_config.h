#pragma once

#include <filesystem>
#include <string>

#include <c10/core/ScalarType.h>

#include <distill/models/causal_lm.h>

namespace distill::models {

/// The text of a config.json for `model`: that of the base with `num_hidden_layers`, `torch_dtype`
/// / `dtype` (whichever it uses) and the model's own changes, all else kept in order. Throws
/// InputError when the base is of another model, UnsupportedError for a dtype that configs do not
/// name.
std::string saved_config(const std::filesystem::path& base, const CausalLm& model,
                         c10::ScalarType dtype);

}  // namespace distill::models
