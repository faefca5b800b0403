#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/nn/adapter.h>
#include <distill/ops/quantized_matrix.h>

namespace distill::models {

/// One weight of a model: what the Hugging Face files call it, the shape the config implies, and
/// where it lives in the model. Loading, listing and saving all walk the same table of slots.
struct ParameterSlot {
  std::string pattern;      ///< `{}` stands for the layer: `model.layers.{}.mlp.up_proj.weight`
  std::int64_t layer = -1;  ///< -1: outside the layers
  std::vector<std::int64_t> shape;
  at::Tensor* tensor = nullptr;
  bool buffer = false;  ///< no parameter: see CausalLm::buffers
  /// Where the adapter of this matrix goes; null where there can be none.
  std::optional<nn::Adapter>* adapter = nullptr;
  /// Where this matrix goes when it is held in few bits; null where it never is.
  std::optional<ops::QuantizedMatrix>* quantized = nullptr;
  bool routed_expert = false;
  bool idle = false;  ///< of an expert beyond the number that a token passes

  std::string name() const { return name_in_layer(layer); }
  /// The same weight of another layer.
  std::string name_in_layer(std::int64_t other) const;
};

}  // namespace distill::models
