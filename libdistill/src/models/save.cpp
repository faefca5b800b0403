#include <distill/models/save.h>

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/core/error.h>
#include <distill/core/files.h>
#include <distill/core/pending_folder.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>

#include "models/companions.h"
#include "models/saved_config.h"

namespace distill::models {

namespace fs = std::filesystem;

namespace {

std::vector<io::NamedTensor> weights_of(const CausalLm& model, c10::ScalarType dtype) {
  std::vector<io::NamedTensor> tensors;
  for (const NamedParameter& parameter : model.parameters()) {
    tensors.emplace_back(parameter.name, parameter.tensor.detach().to(dtype));
  }
  for (const NamedParameter& buffer : model.buffers()) {
    tensors.emplace_back(buffer.name, buffer.tensor.detach());
  }
  return tensors;
}

}  // namespace

void save_causal_lm(const CausalLm& model, const fs::path& folder, const SaveOptions& options) {
  if (model.quantization() != nullptr) {
    fail<UnsupportedError>(folder.string(), ": a model with quantised weights (",
                           ops::name_of(model.quantization()->format),
                           ") cannot be saved as a folder; load it without quantising it");
  }
  using Existing = core::PendingFolder::Existing;
  core::PendingFolder pending(folder, options.replace ? Existing::kReplace : Existing::kRefuse);
  const auto dtype = options.dtype.value_or(model.parameters().front().tensor.scalar_type());
  const std::string config = saved_config(options.base_folder / "config.json", model, dtype);
  core::write_file_atomically(pending.path() / "config.json", config);
  copy_companions(options.base_folder, pending.path());
  io::write_safetensors_folder(pending.path(), weights_of(model, dtype), {{"format", "pt"}},
                               options.max_shard_bytes);
  pending.publish();
}

}  // namespace distill::models
