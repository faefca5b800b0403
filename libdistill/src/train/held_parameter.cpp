#include "train/held_parameter.h"

#include <set>

#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/core/strings.h>

namespace distill::train {

HeldParameter hold(const models::NamedParameter& parameter, const char* optimizer) {
  const at::Tensor& tensor = parameter.tensor;
  const auto dtype = tensor.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16) {
    fail<UnsupportedError>("parameter `", parameter.name, "` is ", dtype, "; ", optimizer,
                           " trains float32 and bfloat16 parameters");
  }
  if (!tensor.is_contiguous()) {
    fail<UnsupportedError>("parameter `", parameter.name, "` is not contiguous in memory");
  }
  if (dtype == at::kFloat) return {parameter.name, tensor.detach(), {}};
  return {parameter.name, tensor.detach().to(at::kFloat), tensor.detach()};
}

void take_parameter(HeldParameter& held) {
  const c10::NoGradGuard no_grad;
  if (held.compute.defined()) held.master.copy_(held.compute);
}

void require_distinct(const std::vector<models::NamedParameter>& parameters) {
  std::set<std::string> names;
  for (const auto& parameter : parameters) {
    if (names.insert(parameter.name).second) continue;
    fail<ConfigError>("parameter `", parameter.name, "` is given to the optimizer twice");
  }
}

void require_state(const io::SafetensorsFile& file, const std::vector<io::NamedTensor>& targets) {
  const std::string where = file.path().string();
  std::set<std::string> known;
  for (const auto& [name, target] : targets) {
    known.insert(name);
    const io::TensorEntry* entry = file.find(name);
    if (entry == nullptr) fail<FormatError>(where, ": tensor `", name, "` is missing");
    if (entry->dtype != target.scalar_type()) {
      fail<FormatError>(where, ": tensor `", name, "` is ", entry->dtype, ", expected ",
                        target.scalar_type());
    }
    if (target.sizes() != at::IntArrayRef(entry->shape)) {
      fail<FormatError>(where, ": tensor `", name, "` has shape ", at::IntArrayRef(entry->shape),
                        ", expected ", target.sizes());
    }
  }
  for (const auto& entry : file.entries()) {
    if (known.contains(entry.name)) continue;
    fail<FormatError>(where, ": tensor `", core::printable(entry.name, 200),
                      "` belongs to no trained parameter; was it written by another run?");
  }
}

}  // namespace distill::train
