#include <distill/models/causal_lm.h>

#include <array>

#include <distill/core/error.h>

namespace distill::models {

at::Tensor NamedAdapter::matrix() const {
  return quantized != nullptr ? ops::dequantize(*quantized) : *weight;
}

types::ModelOutput CausalLm::forward_with_layers(const types::ModelInput& input,
                                                 const types::LayerRequest& wanted) {
  if (wanted.empty()) return forward(input);
  fail<UnsupportedError>(
      "this model family does not show its inner layers; use losses over logits with it");
}

void CausalLm::set_activation_checkpointing(bool on) {
  if (!on) return;
  fail<UnsupportedError>(
      "this model family keeps the activations of all layers; leave "
      "`activation_checkpointing` false");
}

void CausalLm::add_adapters(const AdapterChoice& chosen) {
  if (chosen.empty()) return;
  fail<UnsupportedError>("this model family has no layers that can have an adapter");
}

at::Device CausalLm::device() const {
  const auto all = parameters();
  return all.empty() ? at::Device(at::kCPU) : all.front().tensor.device();
}

types::ModelOutput CausalLm::forward_cached(const at::Tensor& ids, nn::KvCache& cache) {
  const std::array<std::int64_t, 2> segments = {0, ids.defined() ? ids.numel() : 0};
  nn::KvCache* const one = &cache;
  return forward_cached(ids, nn::CachedSequences{segments, std::span(&one, 1)});
}

}  // namespace distill::models
