#include "models/decoder/decoder.h"

#include <numeric>
#include <utility>

#include <c10/core/GradMode.h>

#include <ATen/ops/empty_like.h>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/nn/kv_cache.h>
#include <distill/nn/recomputed.h>

#include "models/check_input.h"
#include "models/decoder/hf_names.h"

namespace distill::models::decoder {

namespace {

/// The state of a model's adapters at one time.
class AdapterSnapshot {
 public:
  explicit AdapterSnapshot(std::shared_ptr<nn::AdapterSwitch> shared)
      : shared_(std::move(shared)), state_(shared_ ? *shared_ : nn::AdapterSwitch{}) {}

  class Scope {
   public:
    Scope(nn::AdapterSwitch* shared, const nn::AdapterSwitch& state) : shared_(shared) {
      if (shared_ != nullptr) before_ = std::exchange(*shared_, state);
    }
    ~Scope() {
      if (shared_ != nullptr) *shared_ = before_;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    nn::AdapterSwitch* shared_;
    nn::AdapterSwitch before_;
  };
  /// The state holds again while the scope lives.
  Scope restored() const { return Scope(shared_.get(), state_); }

 private:
  std::shared_ptr<nn::AdapterSwitch> shared_;
  nn::AdapterSwitch state_;
};

/// Each sequence goes on where its cache ends.
at::Tensor next_positions(const at::Tensor& ids, const nn::CachedSequences& sequences) {
  at::Tensor positions = at::empty_like(ids, at::kCPU);
  auto* out = positions.mutable_data_ptr<std::int64_t>();
  for (std::size_t s = 0; s < sequences.caches.size(); ++s) {
    const std::int64_t first = sequences.segments[s], last = sequences.segments[s + 1];
    std::iota(out + first, out + last, sequences.caches[s]->length());
  }
  return positions.to(ids.device());
}

}  // namespace

Decoder::Decoder(const Plan& plan, std::span<const std::int64_t> source_layers,
                 std::vector<ConfigChange> changes)
    : layers_(source_layers.size()),
      rotary_(plan.rotary_dim, plan.sizes.rope),
      cache_shape_(plan.cache),
      changes_(std::move(changes)) {
  cache_shape_.num_layers = std::ssize(source_layers);
  shape_.vocab_size = plan.sizes.vocab_size;
  shape_.hidden_size = plan.sizes.hidden_size;
  shape_.num_layers = std::ssize(source_layers);
  shape_.max_positions = plan.sizes.max_positions;
  name_weights(plan, source_layers);
  count_parameters();
}

void Decoder::name_weights(const Plan& plan, std::span<const std::int64_t> source_layers) {
  const std::int64_t vocab = plan.sizes.vocab_size, hidden = plan.sizes.hidden_size;
  slots_.push_back({kEmbeddingName, -1, {vocab, hidden}, &embed_tokens_.weight});
  slots_.back().adapter = &embed_tokens_.adapter;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    LayerTable table(slots_, static_cast<std::int64_t>(i));
    plan.add_layer(table, layers_[i], source_layers[i]);
  }
  norm_.eps = plan.sizes.rms_norm_eps;
  slots_.push_back({kNormName, -1, {hidden}, &norm_.weight});
  if (!plan.sizes.tied_head) slots_.push_back({kHeadName, -1, {vocab, hidden}, &lm_head_});
}

void Decoder::count_parameters() {
  std::optional<std::uint64_t> all = 0, active = 0;
  for (const ParameterSlot& slot : slots_) {
    if (slot.buffer) continue;
    const auto numel = core::checked_product(slot.shape);
    if (!numel || !all || !active) break;
    all = core::checked_add(*all, *numel);
    active = core::checked_add(*active, slot.idle ? 0 : *numel);
  }
  const auto total = all ? core::checked_cast<std::int64_t>(*all) : std::nullopt;
  if (!total || !active) fail<FormatError>("config.json describes more parameters than 2^63");
  shape_.num_parameters = *total;
  shape_.num_active_parameters = static_cast<std::int64_t>(*active);
}

nn::Stream Decoder::embed(const at::Tensor& ids) const {
  const at::Tensor hidden = embed_tokens_(ids);
  return {layers_.front().input_norm(hidden), hidden};
}

const nn::RmsNorm& Decoder::norm_after(std::size_t layer) const {
  return layer + 1 < layers_.size() ? layers_[layer + 1].input_norm : norm_;
}

types::ModelOutput Decoder::output(const nn::Stream& stream) const {
  return {stream.normed, lm_head_.defined() ? lm_head_ : embed_tokens_.weight, {}};
}

void Decoder::check_attention_layers(const types::LayerRequest& wanted) const {
  for (const std::int64_t layer : wanted.attention) {
    const auto* attention =
        std::get_if<nn::Attention>(&layers_[static_cast<std::size_t>(layer)].attention);
    if (attention == nullptr || attention->window == 0) continue;
    fail<UnsupportedError>("layer ", layer, " sees a window of ", attention->window,
                           " tokens; its attention cannot be compared, name layers that see all");
  }
}

nn::Stream Decoder::recomputed_layer(std::size_t layer, const nn::Stream& in,
                                     const nn::RotaryTable& rotary,
                                     const std::vector<std::int64_t>& segments) const {
  const nn::RmsNorm& next = norm_after(layer);
  std::vector<at::Tensor> parameters = {next.weight};
  for (const ParameterSlot& slot : slots_) {
    if (slot.layer != static_cast<std::int64_t>(layer)) continue;
    if (slot.tensor->defined()) parameters.push_back(*slot.tensor);
    if (slot.adapter == nullptr || !*slot.adapter) continue;
    const nn::Adapter& adapter = **slot.adapter;
    for (const at::Tensor& own : {adapter.a, adapter.b, adapter.magnitude}) {
      if (own.defined()) parameters.push_back(own);
    }
  }
  // Copies of the parts, not of their weights: the graph may outlive the model.
  // What adapters drop, and whether they are on, is decided now, not when the piece runs again.
  const nn::Piece piece =
      [block = layers_[layer], next, rotary, segments,
       adapters = AdapterSnapshot(adapter_switch_)](const std::vector<at::Tensor>& stream) {
        const auto as_it_was = adapters.restored();
        const nn::Stream out = block.forward({stream[0], stream[1]}, next, rotary, segments);
        return std::vector<at::Tensor>{out.normed, out.residual};
      };
  const auto out = nn::recomputed(piece, {in.normed, in.residual}, parameters);
  return {out[0], out[1]};
}

types::ModelOutput Decoder::forward_with_layers(const types::ModelInput& input,
                                                const types::LayerRequest& wanted) {
  check_input(input, shape_);
  check_layers(wanted, shape_);
  check_attention_layers(wanted);
  types::LayerStates layers;
  for (const std::int64_t layer : wanted.hidden) layers.hidden[layer];
  for (const std::int64_t layer : wanted.attention) layers.attention[layer];
  const auto rotary = rotary_.rows(input.position_ids, input.segments);
  nn::Stream stream = embed(input.input_ids);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto layer = static_cast<std::int64_t>(i);
    const auto attention = layers.attention.find(layer);
    if (attention != layers.attention.end()) {
      stream =
          layers_[i].forward(stream, norm_after(i), rotary, input.segments, &attention->second);
    } else if (checkpoints_) {
      stream = recomputed_layer(i, stream, rotary, input.segments);
    } else {
      stream = layers_[i].forward(stream, norm_after(i), rotary, input.segments);
    }
    const auto hidden = layers.hidden.find(layer);
    if (hidden != layers.hidden.end()) hidden->second = stream.residual;
  }
  types::ModelOutput result = output(stream);
  result.layers = std::move(layers);
  return result;
}

/// `states` as the layer reads them.
nn::Stream Decoder::before(std::int64_t layer, const at::Tensor& states,
                           const types::ModelInput& input) const {
  check_input(input, shape_);
  check_layers({.hidden = {layer}, .attention = {}}, shape_);
  if (states.dim() != 2 || states.size(0) != input.input_ids.size(0) ||
      states.size(1) != shape_.hidden_size) {
    fail<InputError>("states of ", input.input_ids.size(0), " tokens must be [",
                     input.input_ids.size(0), ", ", shape_.hidden_size, "], are ", states.sizes());
  }
  return {layers_[static_cast<std::size_t>(layer)].input_norm(states), states};
}

at::Tensor Decoder::first_states(const types::ModelInput& input) {
  const c10::NoGradGuard no_graph;
  check_input(input, shape_);
  return embed_tokens_(input.input_ids);
}

at::Tensor Decoder::step(std::int64_t layer, const at::Tensor& states,
                         const types::ModelInput& input) {
  const c10::NoGradGuard no_graph;
  const nn::Stream in = before(layer, states, input);
  const auto i = static_cast<std::size_t>(layer);
  const auto rotary = rotary_.rows(input.position_ids, input.segments);
  return layers_[i].forward(in, norm_after(i), rotary, input.segments).residual;
}

std::optional<LastProjection> Decoder::last_projection(std::int64_t layer, const at::Tensor& states,
                                                       const types::ModelInput& input) {
  const c10::NoGradGuard no_graph;
  const nn::Stream in = before(layer, states, input);
  nn::DecoderBlock& block = layers_[static_cast<std::size_t>(layer)];
  const auto rotary = rotary_.rows(input.position_ids, input.segments);
  const auto found = block.before_last(in, rotary, input.segments);
  if (!found) return std::nullopt;
  return LastProjection{found->inner, found->residual,
                        &std::get<nn::SwigluMlp>(block.feed_forward).down_proj};
}

types::ModelOutput Decoder::output_of(const at::Tensor& states) {
  const c10::NoGradGuard no_graph;
  return output({norm_(states), states});
}

types::ModelOutput Decoder::forward_cached(const at::Tensor& ids,
                                           const nn::CachedSequences& sequences) {
  const c10::NoGradGuard no_graph;
  check_next_ids(ids, sequences, shape_);
  const auto rotary = rotary_.rows(next_positions(ids, sequences), sequences.segments);
  nn::Stream stream = embed(ids);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    stream = layers_[i].forward_cached(stream, norm_after(i), rotary, sequences,
                                       static_cast<std::int64_t>(i));
  }
  for (std::size_t s = 0; s < sequences.caches.size(); ++s) {
    sequences.caches[s]->advance(sequences.segments[s + 1] - sequences.segments[s]);
  }
  return output(stream);
}

std::unique_ptr<nn::KvCache> Decoder::make_cache() const {
  nn::KvCacheShape shape = cache_shape_;
  shape.options = embed_tokens_.weight.options().requires_grad(false);
  return std::make_unique<nn::KvCache>(shape);
}

std::vector<NamedParameter> Decoder::named(bool buffers) const {
  std::vector<NamedParameter> result;
  for (const ParameterSlot& slot : slots_) {
    const bool quantized = slot.quantized != nullptr && *slot.quantized;
    if (slot.buffer == buffers && !quantized) result.push_back({slot.name(), *slot.tensor});
  }
  return result;
}

}  // namespace distill::models::decoder
