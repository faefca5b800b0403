#include "models/decoder/layer_rows.h"

namespace distill::models::decoder {

void add_input_norm(LayerTable& table, const Sizes& sizes, nn::DecoderBlock& block) {
  table.norm("input_layernorm", sizes.hidden_size, sizes.rms_norm_eps, block.input_norm);
}

void add_post_attention_norm(LayerTable& table, const Sizes& sizes, nn::DecoderBlock& block) {
  table.norm("post_attention_layernorm", sizes.hidden_size, sizes.rms_norm_eps,
             block.post_attention_norm);
}

nn::Attention& add_grouped_attention(LayerTable& table, const Sizes& sizes, const Heads& heads,
                                     AttentionBiases biases, nn::DecoderBlock& block) {
  auto& attention = block.attention.emplace<nn::Attention>();
  attention.head_dim = heads.head_dim;
  const std::int64_t hidden = sizes.hidden_size;
  const std::int64_t q_size = heads.num_heads * heads.head_dim;
  const std::int64_t kv_size = heads.num_kv_heads * heads.head_dim;
  table.linear("self_attn.q_proj", q_size, hidden, biases.qkv, attention.q_proj);
  table.linear("self_attn.k_proj", kv_size, hidden, biases.qkv, attention.k_proj);
  table.linear("self_attn.v_proj", kv_size, hidden, biases.qkv, attention.v_proj);
  table.linear("self_attn.o_proj", hidden, q_size, biases.output, attention.o_proj);
  return attention;
}

void add_query_key_norms(LayerTable& table, double eps, nn::Attention& attention) {
  table.norm("self_attn.q_norm", attention.head_dim, eps, attention.q_norm.emplace());
  table.norm("self_attn.k_norm", attention.head_dim, eps, attention.k_norm.emplace());
}

void add_mlp(LayerTable& table, const std::string& prefix, const MlpSizes& sizes,
             nn::SwigluMlp& mlp) {
  table.linear(prefix + ".gate_proj", sizes.inner, sizes.hidden, sizes.bias, mlp.gate_proj);
  table.linear(prefix + ".up_proj", sizes.inner, sizes.hidden, sizes.bias, mlp.up_proj);
  table.linear(prefix + ".down_proj", sizes.hidden, sizes.inner, sizes.bias, mlp.down_proj);
}

nn::MixtureOfExperts& add_experts(LayerTable& table, std::int64_t hidden, const ExpertSizes& sizes,
                                  const nn::RouterOptions& router, nn::DecoderBlock& block) {
  auto& mixture = block.feed_forward.emplace<nn::MixtureOfExperts>();
  mixture.router.options = router;
  table.weight("mlp.gate.weight", {sizes.count, hidden}, mixture.router.weight);
  // All at once: the slots point at them.
  mixture.experts.resize(static_cast<std::size_t>(sizes.count));
  table.set_routed(true);
  for (std::int64_t e = 0; e < sizes.count; ++e) {
    table.set_idle(e >= router.experts_per_token);
    add_mlp(table, "mlp.experts." + std::to_string(e), {hidden, sizes.inner},
            mixture.experts[static_cast<std::size_t>(e)]);
  }
  table.set_idle(false);
  table.set_routed(false);
  return mixture;
}

}  // namespace distill::models::decoder
