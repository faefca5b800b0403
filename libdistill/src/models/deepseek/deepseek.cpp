#include "models/deepseek/deepseek.h"

#include <algorithm>
#include <string>

#include <distill/core/error.h>

#include "models/decoder/decoder.h"
#include "models/decoder/layer_rows.h"
#include "models/deepseek/config.h"

namespace distill::models::deepseek {

namespace {

/// The norms inside the attention keep their own epsilon, whatever the config says of the others.
constexpr double kLatentNormEps = 1e-6;

void add_queries(const Config& config, decoder::LayerTable& table, nn::LatentAttention& attention) {
  const LatentSizes& sizes = config.attention;
  const std::int64_t hidden = config.sizes.hidden_size;
  const std::int64_t width = sizes.num_heads * (sizes.nope_dim + sizes.rope_dim);
  if (!sizes.query_rank) {
    table.linear("self_attn.q_proj", width, hidden, false, attention.q_proj);
    return;
  }
  auto& latent = attention.query_latent.emplace();
  table.linear("self_attn.q_a_proj", *sizes.query_rank, hidden, sizes.bias, latent.a_proj);
  table.norm("self_attn.q_a_layernorm", *sizes.query_rank, kLatentNormEps, latent.a_norm);
  table.linear("self_attn.q_b_proj", width, *sizes.query_rank, false, attention.q_proj);
}

void add_attention(const Config& config, decoder::LayerTable& table, nn::DecoderBlock& block) {
  const LatentSizes& sizes = config.attention;
  const std::int64_t hidden = config.sizes.hidden_size;
  auto& attention = block.attention.emplace<nn::LatentAttention>();
  attention.num_heads = sizes.num_heads;
  attention.nope_dim = sizes.nope_dim;
  attention.rope_dim = sizes.rope_dim;
  attention.value_dim = sizes.value_dim;
  attention.scale = sizes.scale;
  attention.interleaved = sizes.interleaved;
  add_queries(config, table, attention);
  table.linear("self_attn.kv_a_proj_with_mqa", sizes.rank + sizes.rope_dim, hidden, sizes.bias,
               attention.kv_a_proj_with_mqa);
  table.norm("self_attn.kv_a_layernorm", sizes.rank, kLatentNormEps, attention.kv_a_norm);
  table.linear("self_attn.kv_b_proj", sizes.num_heads * (sizes.nope_dim + sizes.value_dim),
               sizes.rank, false, attention.kv_b_proj);
  table.linear("self_attn.o_proj", hidden, sizes.num_heads * sizes.value_dim, sizes.bias,
               attention.o_proj);
}

void add_feed_forward(const Config& config, decoder::LayerTable& table, nn::DecoderBlock& block,
                      std::int64_t source) {
  const std::int64_t hidden = config.sizes.hidden_size;
  if (source < config.num_dense_layers) {
    decoder::add_mlp(table, "mlp", {hidden, config.intermediate_size},
                     block.feed_forward.emplace<nn::SwigluMlp>());
    return;
  }
  nn::MixtureOfExperts& mixture =
      decoder::add_experts(table, hidden, config.experts, config.router, block);
  if (config.correction_bias) {
    table
        .weight("mlp.gate.e_score_correction_bias", {config.experts.count},
                mixture.router.correction_bias)
        .buffer = true;
  }
  if (config.num_shared_experts > 0) {
    decoder::add_mlp(table, "mlp.shared_experts",
                     {hidden, config.experts.inner * config.num_shared_experts},
                     mixture.shared.emplace());
  }
}

/// Layers without experts can only be told as the first ones.
std::vector<ConfigChange> describe_kept(const Config& config, std::span<const std::int64_t> kept) {
  const auto dense = [&](std::int64_t layer) { return layer < config.num_dense_layers; };
  if (!std::is_partitioned(kept.begin(), kept.end(), dense)) {
    fail<ConfigError>("keep_layers puts a layer with experts before one of the first ",
                      config.num_dense_layers,
                      ", which have none; name these first, config.json knows no other order");
  }
  return {
      {"first_k_dense_replace", std::to_string(std::count_if(kept.begin(), kept.end(), dense))}};
}

void skip_mtp_layers(const Config& config, decoder::Plan& plan) {
  for (std::int64_t i = 0; i < config.num_mtp_layers; ++i) {
    plan.skipped.push_back({"model.layers." + std::to_string(config.sizes.num_layers + i) + ".",
                            "multi-token prediction layer"});
  }
  if (config.num_mtp_layers > 0) plan.changes.push_back({"num_nextn_predict_layers", "0"});
}

EmptyModel build(const Config& config, const io::JsonCursor& json,
                 std::span<const std::int64_t> keep_layers) {
  decoder::Plan plan;
  plan.sizes = config.sizes;
  plan.rotary_dim = config.attention.rope_dim;
  plan.cache.kv_heads = 1;
  plan.cache.head_dim = config.attention.rank + config.attention.rope_dim;
  plan.cache.value_dim = 0;
  plan.add_layer = [&](decoder::LayerTable& table, nn::DecoderBlock& block, std::int64_t source) {
    decoder::add_input_norm(table, config.sizes, block);
    add_attention(config, table, block);
    decoder::add_post_attention_norm(table, config.sizes, block);
    add_feed_forward(config, table, block, source);
  };
  plan.describe_kept = [&](std::span<const std::int64_t> kept) {
    return describe_kept(config, kept);
  };
  skip_mtp_layers(config, plan);
  return decoder::build(plan, json, keep_layers);
}

}  // namespace

EmptyModel build_v2(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers) {
  return build(read_v2_config(json), json, keep_layers);
}

EmptyModel build_v3(const io::JsonCursor& json, std::span<const std::int64_t> keep_layers) {
  return build(read_v3_config(json), json, keep_layers);
}

}  // namespace distill::models::deepseek
