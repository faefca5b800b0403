#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/models/quantization.h>
#include <distill/nn/adapter.h>
#include <distill/nn/cached_sequences.h>
#include <distill/types/layer_states.h>
#include <distill/types/model_input.h>
#include <distill/types/model_output.h>

namespace distill::models {

/// A parameter under its Hugging Face name.
struct NamedParameter {
  std::string name;
  at::Tensor tensor;
};

/// A layer that can have an adapter: a projection [out, in], or the embedding, which is the table
/// of a projection [hidden, vocabulary].
struct AdapterSite {
  std::string module;  ///< Hugging Face name of its weight without `.weight`
  std::int64_t out = 0;
  std::int64_t in = 0;
  bool embedding = false;
  bool routed_expert = false;  ///< belongs to one expert of many
};

/// An adapter in a model, beside the weight that it changes. The model owns both.
struct NamedAdapter {
  AdapterSite site;
  nn::Adapter* adapter = nullptr;
  at::Tensor* weight = nullptr;  ///< [out, in]; of the embedding [in, out]; undefined: quantised
  const ops::QuantizedMatrix* quantized = nullptr;  ///< in the weight's place, else null

  at::Tensor matrix() const;  ///< the weight, or what stands for it, formed anew
  at::Device device() const { return quantized ? quantized->device() : weight->device(); }
};

/// Which layers get an adapter, by module.
using AdapterChoice = std::map<std::string, nn::AdapterOptions>;

/// Shape facts the rest of the library needs of any model.
struct ModelShape {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t max_positions = 0;
  std::int64_t num_parameters = 0;  ///< tied weights once
  /// Those that one token passes: of routed experts only as many as it is sent to. The same as
  /// num_parameters in a model without experts.
  std::int64_t num_active_parameters = 0;
};

/// A key of config.json that must change with a model that is not all of its folder.
struct ConfigChange {
  std::string key;
  std::string json;  ///< the new value; empty: the key is left out
};

/// A decoder-only language model of any family.
class CausalLm {
 public:
  virtual ~CausalLm() = default;

  /// Hidden states after the final norm for every position, and the head. Records a graph when
  /// gradients are enabled and a parameter wants one.
  virtual types::ModelOutput forward(const types::ModelInput& input) = 0;

  /// The same, with what `wanted` asks of the inner layers in the result's `layers`; nothing is
  /// computed twice or copied for it. Throws InputError for a layer that is not there,
  /// UnsupportedError where a family does not show its inner layers.
  virtual types::ModelOutput forward_with_layers(const types::ModelInput& input,
                                                 const types::LayerRequest& wanted);

  /// The same for the next tokens `ids` [N] of `sequences`; keys and values are read from and added
  /// to their caches. No graph.
  virtual types::ModelOutput forward_cached(const at::Tensor& ids,
                                            const nn::CachedSequences& sequences) = 0;
  /// Of one sequence.
  types::ModelOutput forward_cached(const at::Tensor& ids, nn::KvCache& cache);
  virtual std::unique_ptr<nn::KvCache> make_cache() const = 0;

  /// Every parameter once, in a fixed order, under its Hugging Face name (a tied head is not
  /// listed beside the embedding, nor is what is quantised). The tensors are the model's own:
  /// writing to them changes it.
  virtual std::vector<NamedParameter> parameters() const = 0;
  /// Stored with the parameters but not trained and always fp32, such as the corrections with which
  /// a router was balanced.
  virtual std::vector<NamedParameter> buffers() const { return {}; }
  /// Layers that can have an adapter, in the order of their weights.
  virtual std::vector<AdapterSite> adapter_sites() const { return {}; }
  /// Gives layers an adapter, still without tensors. Throws ConfigError for a module that is no
  /// adapter site.
  virtual void add_adapters(const AdapterChoice& chosen);
  virtual void remove_adapters() {}
  /// Those there are, in the order of their sites.
  virtual std::vector<NamedAdapter> adapters() { return {}; }
  /// Turns all adapters on or off and says what they drop; null without any.
  virtual nn::AdapterSwitch* adapter_switch() { return nullptr; }
  /// What a saved config.json says otherwise than that of the folder the model was loaded from,
  /// beside the number of layers and the dtype.
  virtual std::vector<ConfigChange> config_changes() const { return {}; }
  virtual const ModelShape& shape() const = 0;
  /// Of the weights that are held in few bits; null: all are dense.
  virtual const Quantization* quantization() const { return nullptr; }
  /// Where its parameters lie and its input must.
  at::Device device() const;

  /// With it a layer's inner values are not kept for the backward pass but formed anew there: far
  /// less memory, a third more work, the same numbers. Off at first. Throws UnsupportedError where
  /// a family cannot do it.
  virtual void set_activation_checkpointing(bool on);
};

}  // namespace distill::models
