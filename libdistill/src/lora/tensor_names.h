#pragma once

#include <string>

#include <distill/models/causal_lm.h>

namespace distill::lora {

/// One tensor of an adapter.
struct AdapterTensor {
  std::string suffix;  ///< behind the module's name in PEFT's files: `.lora_A.weight`
  at::Tensor nn::Adapter::*member;
  std::vector<std::int64_t> shape;
};

/// Those that an adapter with `options` has at `site`, in the order of their names.
std::vector<AdapterTensor> adapter_tensors(const models::AdapterSite& site,
                                           const nn::AdapterOptions& options);

/// What PEFT's files put before the name of a module.
inline constexpr const char* kPeftPrefix = "base_model.model.";

}  // namespace distill::lora
