#include "models/decoder/layer_table.h"

#include <utility>

namespace distill::models::decoder {

ParameterSlot& LayerTable::weight(const std::string& name, std::vector<std::int64_t> shape,
                                  at::Tensor& tensor) {
  slots_->push_back({.pattern = "model.layers.{}." + name,
                     .layer = layer_,
                     .shape = std::move(shape),
                     .tensor = &tensor,
                     .routed_expert = routed_,
                     .idle = idle_});
  return slots_->back();
}

void LayerTable::linear(const std::string& name, std::int64_t out, std::int64_t in, bool bias,
                        nn::Linear& linear) {
  ParameterSlot& slot = weight(name + ".weight", {out, in}, linear.weight);
  slot.adapter = &linear.adapter;
  slot.quantized = &linear.quantized;
  if (bias) weight(name + ".bias", {out}, linear.bias);
}

void LayerTable::norm(const std::string& name, std::int64_t size, double eps, nn::RmsNorm& norm) {
  norm.eps = eps;
  weight(name + ".weight", {size}, norm.weight);
}

}  // namespace distill::models::decoder
