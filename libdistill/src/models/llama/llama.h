#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <distill/models/causal_lm.h>
#include <distill/nn/decoder_block.h>
#include <distill/nn/embedding.h>
#include <distill/nn/norm.h>

#include "models/families.h"
#include "models/llama/config.h"
#include "models/parameter_slot.h"

namespace distill::models::llama {

/// The parts that hold weights.
struct Weights {
  nn::Embedding embed_tokens;
  std::vector<nn::DecoderBlock> layers;
  nn::RmsNorm norm;
  at::Tensor lm_head;  ///< [V, H]; undefined when tied
};

/// Llama 1 to 3 and everything that shares their block (Touvron et al. 2023; Grattafiori et al.
/// 2024).
class Llama final : public CausalLm {
 public:
  /// Without weights; `slots` say where they go. `config.num_layers` blocks.
  explicit Llama(const Config& config);
  Llama(const Llama&) = delete;
  Llama& operator=(const Llama&) = delete;

  types::ModelOutput forward(const types::ModelInput& input) override {
    return forward_with_layers(input, {});
  }
  types::ModelOutput forward_with_layers(const types::ModelInput& input,
                                         const types::LayerRequest& wanted) override;
  types::ModelOutput forward_cached(const at::Tensor& ids, nn::KvCache& cache) override;
  std::unique_ptr<nn::KvCache> make_cache() const override;
  std::vector<NamedParameter> parameters() const override;
  const ModelShape& shape() const override { return shape_; }
  std::span<const ParameterSlot> slots() const { return slots_; }

 private:
  nn::Stream embed(const at::Tensor& ids) const;
  const nn::RmsNorm& norm_after(std::size_t layer) const;
  types::ModelOutput output(const nn::Stream& stream) const;

  Config config_;
  Weights weights_;
  at::Tensor inverse_frequencies_;
  std::vector<ParameterSlot> slots_;
  ModelShape shape_;
};

/// The family's entry in the list of architectures.
EmptyModel build(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers);

}  // namespace distill::models::llama
