#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <distill/models/causal_lm.h>
#include <distill/models/layer_steps.h>
#include <distill/nn/decoder_block.h>
#include <distill/nn/embedding.h>
#include <distill/nn/kv_cache.h>
#include <distill/nn/norm.h>

#include "models/decoder/config.h"
#include "models/decoder/layer_table.h"
#include "models/decoder/windows.h"
#include "models/families.h"
#include "models/parameter_slot.h"

namespace distill::models::decoder {

/// What a family says of its model.
struct Plan {
  Sizes sizes;                  ///< of the whole folder
  std::int64_t rotary_dim = 0;  ///< columns of a head that rotate
  nn::KvCacheShape cache;       ///< without layers and options
  /// Sets up one block, which the folder has as layer `source`, and names its weights.
  std::function<void(LayerTable& table, nn::DecoderBlock& block, std::int64_t source)> add_layer;
  /// What config.json must say of these layers of the folder, or null when it says nothing of
  /// single layers.
  std::function<std::vector<ConfigChange>(std::span<const std::int64_t> kept)> describe_kept = {};
  std::vector<ConfigChange> changes = {};  ///< of every saved config.json
  std::vector<SkippedWeights> skipped = {};
};

/// A plan for grouped-query attention; its layers are still to be described.
Plan grouped_plan(const Sizes& sizes, const Heads& heads);

/// The same for a config with `sizes` and `heads`, whose layers `add_layer(config, table, block,
/// source)` describes. `config` must outlive the plan.
template <class Config, class AddLayer>
Plan grouped_plan(const Config& config, AddLayer add_layer) {
  Plan plan = grouped_plan(config.sizes, config.heads);
  plan.add_layer = [&config, add_layer](LayerTable& table, nn::DecoderBlock& block,
                                        std::int64_t source) {
    add_layer(config, table, block, source);
  };
  return plan;
}

/// The same for a config with `windows` too; a saved `json` tells those of the kept layers.
template <class Config, class AddLayer>
Plan windowed_plan(const Config& config, const io::JsonCursor& json, AddLayer add_layer) {
  Plan plan = grouped_plan(config, add_layer);
  plan.describe_kept = [&config, &json](std::span<const std::int64_t> kept) {
    return window_changes(json, config.windows, kept);
  };
  return plan;
}

/// The pre-norm decoder that all families share: embedding, blocks, norm, head.
class Decoder final : public CausalLm, public LayerSteps {
 public:
  /// Without weights; `slots` say where they go. One block for each of `source_layers`.
  Decoder(const Plan& plan, std::span<const std::int64_t> source_layers,
          std::vector<ConfigChange> changes);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  types::ModelOutput forward(const types::ModelInput& input) override {
    return forward_with_layers(input, {});
  }
  types::ModelOutput forward_with_layers(const types::ModelInput& input,
                                         const types::LayerRequest& wanted) override;
  at::Tensor first_states(const types::ModelInput& input) override;
  at::Tensor step(std::int64_t layer, const at::Tensor& states,
                  const types::ModelInput& input) override;
  std::optional<LastProjection> last_projection(std::int64_t layer, const at::Tensor& states,
                                                const types::ModelInput& input) override;
  types::ModelOutput output_of(const at::Tensor& states) override;
  using CausalLm::forward_cached;
  types::ModelOutput forward_cached(const at::Tensor& ids,
                                    const nn::CachedSequences& sequences) override;
  std::unique_ptr<nn::KvCache> make_cache() const override;
  std::vector<NamedParameter> parameters() const override { return named(/*buffers=*/false); }
  std::vector<NamedParameter> buffers() const override { return named(/*buffers=*/true); }
  std::vector<AdapterSite> adapter_sites() const override;
  void add_adapters(const AdapterChoice& chosen) override;
  void remove_adapters() override;
  std::vector<NamedAdapter> adapters() override;
  nn::AdapterSwitch* adapter_switch() override { return adapter_switch_.get(); }
  std::vector<ConfigChange> config_changes() const override { return changes_; }
  const ModelShape& shape() const override { return shape_; }
  const Quantization* quantization() const override {
    return quantization_ ? &*quantization_ : nullptr;
  }
  void set_activation_checkpointing(bool on) override { checkpoints_ = on; }
  std::span<const ParameterSlot> slots() const { return slots_; }
  /// To be set by who quantises the slots' weights.
  std::optional<Quantization>& quantization_place() { return quantization_; }

 private:
  void name_weights(const Plan& plan, std::span<const std::int64_t> source_layers);
  void count_parameters();
  void check_attention_layers(const types::LayerRequest& wanted) const;
  nn::Stream embed(const at::Tensor& ids) const;
  nn::Stream before(std::int64_t layer, const at::Tensor& states,
                    const types::ModelInput& input) const;
  nn::Stream recomputed_layer(std::size_t layer, const nn::Stream& in,
                              const nn::RotaryTable& rotary,
                              const std::vector<std::int64_t>& segments) const;
  const nn::RmsNorm& norm_after(std::size_t layer) const;
  types::ModelOutput output(const nn::Stream& stream) const;
  std::vector<NamedParameter> named(bool buffers) const;

  nn::Embedding embed_tokens_;
  std::vector<nn::DecoderBlock> layers_;
  nn::RmsNorm norm_;
  at::Tensor lm_head_;  ///< [V, H]; undefined when tied
  nn::RotaryTables rotary_;
  nn::KvCacheShape cache_shape_;
  std::vector<ParameterSlot> slots_;
  std::shared_ptr<nn::AdapterSwitch> adapter_switch_;  ///< null without adapters
  std::vector<ConfigChange> changes_;
  ModelShape shape_;
  std::optional<Quantization> quantization_;
  bool checkpoints_ = false;
};

/// The model of `keep_layers` (empty: all) with everything that loading needs. `json` is the
/// config that the plan was read from.
EmptyModel build(const Plan& plan, const io::JsonCursor& json,
                 std::span<const std::int64_t> keep_layers);

}  // namespace distill::models::decoder
