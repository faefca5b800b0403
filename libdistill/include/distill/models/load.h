#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <distill/core/log.h>
#include <distill/models/causal_lm.h>
#include <distill/ops/quantized_matrix.h>

namespace distill::models {

struct LoadOptions {
  c10::ScalarType dtype = c10::ScalarType::Float;  ///< of the parameters in memory (fp32 or bf16)
  /// Of the parameters. Weights go to a GPU one by one: the host holds no second copy of the model.
  at::Device device = at::kCPU;
  bool check_finite = true;  ///< refuse NaN and Inf weights, naming the tensor
  /// Every weight in memory of its own, so that training may write to it. Otherwise weights that
  /// are in the right dtype already alias the mapped file, which is read-only: writing to them
  /// crashes.
  bool writable = false;
  /// Build the model from these layers of the folder only, in this order (a student made by
  /// dropping layers). Empty: all.
  std::vector<std::int64_t> keep_layers = {};
  /// Hold the projections inside the layers (all adapter sites but the embedding) in this format.
  /// They are quantised as they are read, so that the dense model is never whole in memory, and are
  /// frozen. Routers, norms, embedding and head stay dense.
  std::optional<ops::WeightFormat> quantize = {};
  /// Layers that get an adapter, to be given its tensors afterwards (distill/lora).
  AdapterChoice adapters = {};
  /// Bytes that may be allocated for weights; empty: what available_memory says of the device.
  /// Any number lets a model be loaded that is then swapped out.
  std::optional<std::uint64_t> available_memory = {};
  core::Logger* log = nullptr;  ///< gets a note of weights left out, and of what quantising lost
};

/// Opens a Hugging Face folder: config.json and (sharded) safetensors. The family is chosen by
/// `model_type` / `architectures`. Every tensor must be there, in shape, and used (a stored copy of
/// a tied head, old `rotary_emb.inv_freq` buffers and DeepSeek's multi-token prediction layers are
/// taken too); shapes are checked before anything large is allocated. DeepSeek's 8-bit matrices
/// with a scale a block become `dtype`. No parameter requires a gradient yet. All threads read and
/// check. Throws InputError and its children, naming file and tensor (of several that hold NaN or
/// Inf the first by file and place), and before anything is allocated when the weights that are not
/// used where they are mapped do not fit the memory that is available.
std::shared_ptr<CausalLm> load_causal_lm(const std::filesystem::path& folder,
                                         const LoadOptions& options);

/// `count` of `num_layers`, evenly spaced, first and last kept:
/// round(i * (num_layers - 1) / (count - 1)), halves to even.
/// Throws ConfigError unless 1 <= count <= num_layers.
std::vector<std::int64_t> evenly_spaced_layers(std::int64_t num_layers, std::int64_t count);

}  // namespace distill::models
