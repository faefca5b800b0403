#include "models/llama/hf_names.h"

namespace distill::models::llama {

namespace {

/// Adds the slots of one layer.
class LayerTable {
 public:
  LayerTable(std::vector<ParameterSlot>& slots, std::int64_t layer)
      : slots_(slots), layer_(layer) {}

  void weight(const char* name, std::vector<std::int64_t> shape, at::Tensor& tensor) {
    slots_.push_back({std::string("model.layers.{}.") + name, layer_, std::move(shape), &tensor});
  }
  void linear(const std::string& name, std::int64_t out, std::int64_t in, bool bias,
              nn::Linear& linear) {
    weight((name + ".weight").c_str(), {out, in}, linear.weight);
    if (bias) weight((name + ".bias").c_str(), {out}, linear.bias);
  }

 private:
  std::vector<ParameterSlot>& slots_;
  std::int64_t layer_;
};

void name_layer(const Config& config, LayerTable table, nn::DecoderBlock& block) {
  const std::int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  const std::int64_t q_size = config.num_heads * config.head_dim;
  const std::int64_t kv_size = config.num_kv_heads * config.head_dim;
  nn::Attention& attention = block.attention;
  table.weight("input_layernorm.weight", {hidden}, block.input_norm.weight);
  table.linear("self_attn.q_proj", q_size, hidden, config.attention_bias, attention.q_proj);
  table.linear("self_attn.k_proj", kv_size, hidden, config.attention_bias, attention.k_proj);
  table.linear("self_attn.v_proj", kv_size, hidden, config.attention_bias, attention.v_proj);
  table.linear("self_attn.o_proj", hidden, q_size, config.attention_bias, attention.o_proj);
  table.weight("post_attention_layernorm.weight", {hidden}, block.post_attention_norm.weight);
  table.linear("mlp.gate_proj", inner, hidden, config.mlp_bias, block.mlp.gate_proj);
  table.linear("mlp.up_proj", inner, hidden, config.mlp_bias, block.mlp.up_proj);
  table.linear("mlp.down_proj", hidden, inner, config.mlp_bias, block.mlp.down_proj);
}

}  // namespace

std::vector<ParameterSlot> name_slots(const Config& config, Weights& weights) {
  std::vector<ParameterSlot> slots;
  slots.push_back(
      {kEmbeddingName, -1, {config.vocab_size, config.hidden_size}, &weights.embed_tokens.weight});
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    name_layer(config, LayerTable(slots, static_cast<std::int64_t>(i)), weights.layers[i]);
  }
  slots.push_back({"model.norm.weight", -1, {config.hidden_size}, &weights.norm.weight});
  if (!config.tied_head) {
    slots.push_back({kHeadName, -1, {config.vocab_size, config.hidden_size}, &weights.lm_head});
  }
  return slots;
}

}  // namespace distill::models::llama
