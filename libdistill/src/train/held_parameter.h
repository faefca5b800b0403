#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/io/safetensors.h>
#include <distill/models/causal_lm.h>

namespace distill::train {

/// A parameter as an optimizer holds it. For an fp32 one `master` is the parameter itself.
struct HeldParameter {
  std::string name;
  at::Tensor master;   ///< fp32
  at::Tensor compute;  ///< the bf16 parameter; undefined for fp32
};

/// The master becomes what the parameter is now.
void take_parameter(HeldParameter& held);

/// Throws UnsupportedError, naming the optimizer, for another dtype or layout.
HeldParameter hold(const models::NamedParameter& parameter, const char* optimizer);

/// Throws ConfigError for a name that is there twice.
void require_distinct(const std::vector<models::NamedParameter>& parameters);

/// Throws FormatError unless `file` holds these tensors and no others.
void require_state(const io::SafetensorsFile& file, const std::vector<io::NamedTensor>& targets);

}  // namespace distill::train
