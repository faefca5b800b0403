#include "models/qwen3_moe/config.h"

#include <distill/core/error.h>

namespace distill::models::qwen3_moe {

namespace {

/// Every `decoder_sparse_step`-th layer has experts, except `mlp_only_layers`.
std::vector<bool> sparse_layers(const io::JsonCursor& json, std::int64_t num_layers) {
  constexpr std::int64_t kMaxStep = 1 << 20;
  const std::int64_t step = decoder::positive_or(json, "decoder_sparse_step", kMaxStep, 1);
  std::vector<bool> sparse;
  for (std::int64_t i = 0; i < num_layers; ++i) sparse.push_back((i + 1) % step == 0);
  if (!json.has("mlp_only_layers")) return sparse;
  const io::JsonCursor dense = json.at("mlp_only_layers");
  for (std::size_t i = 0; i < dense.as_array().size(); ++i) {
    sparse[static_cast<std::size_t>(dense.at(i).int_in(0, num_layers - 1))] = false;
  }
  return sparse;
}

/// Versions of transformers disagree on which layers have the window.
void refuse_window(const io::JsonCursor& json) {
  if (!json.bool_or("use_sliding_window", false)) return;
  fail<UnsupportedError>(json.at("use_sliding_window").where(),
                         " is true; windows are not supported in Qwen3-MoE models");
}

}  // namespace

Config read_config(const io::JsonCursor& json) {
  Config config;
  config.sizes = decoder::read_sizes(json);
  decoder::require_key(json, "num_key_value_heads");
  config.heads = decoder::read_heads(json, config.sizes.hidden_size);
  config.attention_bias = json.bool_or("attention_bias", false);
  config.intermediate_size = json.at("intermediate_size").int_in(1, decoder::kMaxWidth);
  config.sparse = sparse_layers(json, config.sizes.num_layers);
  config.experts.count = decoder::read_expert_count(json, {"num_experts", "num_local_experts"},
                                                    config.sizes.num_layers);
  config.experts.inner = json.at("moe_intermediate_size").int_in(1, decoder::kMaxWidth);
  config.router.experts_per_token = json.at("num_experts_per_tok").int_in(1, config.experts.count);
  config.router.normalise = json.bool_or("norm_topk_prob", false);
  refuse_window(json);
  return config;
}

}  // namespace distill::models::qwen3_moe
