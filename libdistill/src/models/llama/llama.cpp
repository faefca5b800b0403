#include "models/llama/llama.h"

#include <c10/core/GradMode.h>

#include <ATen/ops/arange.h>

#include <distill/core/checked.h>
#include <distill/core/error.h>

#include "models/check_input.h"
#include "models/llama/hf_names.h"

namespace distill::models::llama {

Llama::Llama(const Config& config)
    : config_(config), inverse_frequencies_(nn::inverse_frequencies(config.head_dim, config.rope)) {
  weights_.layers.resize(static_cast<std::size_t>(config.num_layers));
  for (nn::DecoderBlock& block : weights_.layers) {
    block.attention.head_dim = config.head_dim;
    block.input_norm.eps = config.rms_norm_eps;
    block.post_attention_norm.eps = config.rms_norm_eps;
  }
  weights_.norm.eps = config.rms_norm_eps;
  slots_ = name_slots(config_, weights_);
  shape_ = {config.vocab_size, config.hidden_size, config.num_layers, config.max_positions, 0};
  for (const ParameterSlot& slot : slots_) {
    std::int64_t count = 1;
    for (const std::int64_t size : slot.shape) count *= size;
    shape_.num_parameters += count;
  }
}

nn::Stream Llama::embed(const at::Tensor& ids) const {
  const at::Tensor hidden = weights_.embed_tokens(ids);
  return {weights_.layers.front().input_norm(hidden), hidden};
}

const nn::RmsNorm& Llama::norm_after(std::size_t layer) const {
  return layer + 1 < weights_.layers.size() ? weights_.layers[layer + 1].input_norm : weights_.norm;
}

types::ModelOutput Llama::output(const nn::Stream& stream) const {
  return {stream.normed, config_.tied_head ? weights_.embed_tokens.weight : weights_.lm_head, {}};
}

types::ModelOutput Llama::forward_with_layers(const types::ModelInput& input,
                                              const types::LayerRequest& wanted) {
  check_input(input, shape_);
  check_layers(wanted, shape_);
  types::LayerStates layers;
  for (const std::int64_t layer : wanted.hidden) layers.hidden[layer];
  for (const std::int64_t layer : wanted.attention) layers.attention[layer];
  const auto rotary = nn::rotary_table(inverse_frequencies_, input.position_ids);
  nn::Stream stream = embed(input.input_ids);
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    const auto attention = layers.attention.find(layer);
    stream = weights_.layers[i].forward(
        stream, norm_after(i), rotary, input.segments,
        attention == layers.attention.end() ? nullptr : &attention->second);
    const auto hidden = layers.hidden.find(layer);
    if (hidden != layers.hidden.end()) hidden->second = stream.residual;
  }
  types::ModelOutput result = output(stream);
  result.layers = std::move(layers);
  return result;
}

types::ModelOutput Llama::forward_cached(const at::Tensor& ids, nn::KvCache& cache) {
  const c10::NoGradGuard no_graph;
  check_next_ids(ids, cache.length(), shape_);
  const std::int64_t count = ids.size(0);
  const auto rotary = nn::rotary_table(
      inverse_frequencies_, at::arange(cache.length(), cache.length() + count, ids.options()));
  nn::Stream stream = embed(ids);
  for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
    stream = weights_.layers[i].forward_cached(stream, norm_after(i), rotary, cache,
                                               static_cast<std::int64_t>(i));
  }
  cache.advance(count);
  return output(stream);
}

std::unique_ptr<nn::KvCache> Llama::make_cache() const {
  return std::make_unique<nn::KvCache>(
      nn::KvCacheShape{config_.num_layers, config_.num_kv_heads, config_.head_dim,
                       weights_.embed_tokens.weight.options().requires_grad(false)});
}

std::vector<NamedParameter> Llama::parameters() const {
  std::vector<NamedParameter> result;
  result.reserve(slots_.size());
  for (const ParameterSlot& slot : slots_) result.push_back({slot.name(), *slot.tensor});
  return result;
}

EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers) {
  Config config = read_config(json);
  EmptyModel empty;
  empty.num_source_layers = config.num_layers;
  empty.source_layers = resolve_layers(keep_layers, config.num_layers, json.source());
  config.num_layers = static_cast<std::int64_t>(empty.source_layers.size());
  if (config.tied_head) {
    empty.tied_head = kHeadName;
    empty.tied_to = kEmbeddingName;
  }
  auto model = std::make_shared<Llama>(config);
  empty.slots.assign(model->slots().begin(), model->slots().end());
  empty.model = std::move(model);
  return empty;
}

}  // namespace distill::models::llama
