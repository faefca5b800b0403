#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/roll.h>
#include <ATen/ops/tanh.h>

#include <distill/core/error.h>
#include <distill/core/random.h>
#include <distill/models/causal_lm.h>

namespace distill::testing {

/// The smallest language model that still notices a wrong order, a wrong segment border and a
/// wrong gradient: hidden_t = tanh(e(id_t) + e(id_{t-1}) / 2), without the second part at the start
/// of a segment (position 0); an untied head on top. Parameters want gradients and depend on
/// nothing but the options.
class ToyModel : public models::CausalLm {
 public:
  struct Options {
    std::int64_t vocab_size = 260;
    std::int64_t hidden_size = 8;
    std::uint64_t seed = 1;
    at::ScalarType dtype = at::kFloat;
    double scale = 1.0;  ///< of the initial values, uniform in [-scale, scale]
    types::LogitTransform transform = {};
  };

  ToyModel() : ToyModel(Options{}) {}
  explicit ToyModel(const Options& options)
      : embedding_(uniform(options, 1)), head_(uniform(options, 2)), transform_(options.transform) {
    shape_.vocab_size = options.vocab_size;
    shape_.hidden_size = options.hidden_size;
    shape_.num_layers = 1;
    shape_.max_positions = std::int64_t{1} << 20;
    shape_.num_parameters = embedding_.numel() + head_.numel();
  }

  types::ModelOutput forward(const types::ModelInput& input) override {
    return forward_with_layers(input, {});
  }

  /// Its one layer is what the final tanh is taken of.
  types::ModelOutput forward_with_layers(const types::ModelInput& input,
                                         const types::LayerRequest& wanted) override {
    const at::Tensor here = at::embedding(embedding_, input.input_ids);
    const at::Tensor inside = (input.position_ids != 0).unsqueeze(1).to(here.scalar_type());
    const at::Tensor before = at::roll(here, {1}, {0}) * inside;
    const at::Tensor inner = here + before * 0.5;
    types::ModelOutput output{at::tanh(inner), head_, transform_};
    for (const std::int64_t layer : wanted.hidden) output.layers.hidden[layer] = inner;
    return output;
  }

  types::ModelOutput forward_cached(const at::Tensor&, const nn::CachedSequences&) override {
    fail<UnsupportedError>("the toy model has no cache");
  }
  std::unique_ptr<nn::KvCache> make_cache() const override {
    fail<UnsupportedError>("the toy model has no cache");
  }

  std::vector<models::NamedParameter> parameters() const override {
    return {{"model.embed_tokens.weight", embedding_}, {"lm_head.weight", head_}};
  }
  const models::ModelShape& shape() const override { return shape_; }

 private:
  static at::Tensor uniform(const Options& options, std::uint64_t stream) {
    at::Tensor values = at::empty({options.vocab_size, options.hidden_size}, at::kDouble);
    core::RandomState random(options.seed, stream);
    double* out = values.data_ptr<double>();
    for (std::int64_t i = 0; i < values.numel(); ++i)
      out[i] = options.scale * (2 * random.uniform() - 1);
    return values.to(options.dtype).set_requires_grad(true);
  }

  at::Tensor embedding_;
  at::Tensor head_;
  types::LogitTransform transform_;
  models::ModelShape shape_;
};

}  // namespace distill::testing
