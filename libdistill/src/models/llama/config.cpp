#include "models/llama/config.h"

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "models/rope_config.h"

namespace distill::models::llama {

namespace {

// Bounds far above any real model: they only keep products of sizes inside 64 bits and a damaged
// number from looking like a plan.
constexpr std::int64_t kMaxWidth = std::int64_t{1} << 20;
constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxHeads = 4096;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 30;

std::int64_t int_or(const io::JsonCursor& json, std::string_view name, std::int64_t high,
                    std::int64_t fallback) {
  return json.has(name) ? json.at(name).int_in(1, high) : fallback;
}

void read_heads(const io::JsonCursor& json, Config& config) {
  config.num_heads = json.at("num_attention_heads").int_in(1, kMaxHeads);
  config.num_kv_heads = int_or(json, "num_key_value_heads", kMaxHeads, config.num_heads);
  if (config.num_heads % config.num_kv_heads != 0) {
    json.at("num_key_value_heads")
        .fail(core::concat("must divide num_attention_heads (", config.num_heads, "), it is ",
                           config.num_kv_heads));
  }
  if (!json.has("head_dim") && config.hidden_size % config.num_heads != 0) {
    json.at("num_attention_heads")
        .fail(core::concat("must divide hidden_size (", config.hidden_size,
                           ") when there is no head_dim, it is ", config.num_heads));
  }
  config.head_dim = int_or(json, "head_dim", kMaxWidth, config.hidden_size / config.num_heads);
  if (config.head_dim % 2 != 0) {
    json.at(json.has("head_dim") ? "head_dim" : "hidden_size")
        .fail(core::concat("must give heads of an even size for rotary positions, it gives ",
                           config.head_dim));
  }
}

/// Options of transformers that change what the model computes and that are not done here.
void refuse_other_mathematics(const io::JsonCursor& json) {
  const std::string activation = json.string_or("hidden_act", "silu");
  if (activation != "silu") {
    fail<UnsupportedError>(json.at("hidden_act").where(), " is ", core::printable(activation),
                           ", only silu is supported");
  }
  if (json.has("quantization_config")) {
    fail<UnsupportedError>(json.at("quantization_config").where(),
                           ": quantised weights are not supported; use a folder in fp32 or bf16");
  }
  if (json.bool_or("add_cross_attention", false) || json.bool_or("is_encoder_decoder", false)) {
    fail<UnsupportedError>(json.source(),
                           ": an encoder-decoder model; only decoders are supported");
  }
}

}  // namespace

Config read_config(const io::JsonCursor& json) {
  Config config;
  config.vocab_size = json.at("vocab_size").int_in(1, kMaxVocabulary);
  config.hidden_size = json.at("hidden_size").int_in(1, kMaxWidth);
  config.intermediate_size = json.at("intermediate_size").int_in(1, kMaxWidth);
  config.num_layers = json.at("num_hidden_layers").int_in(1, kMaxLayers);
  read_heads(json, config);
  config.max_positions = json.at("max_position_embeddings").int_in(1, kMaxPositions);
  const io::JsonCursor eps = json.at("rms_norm_eps");
  config.rms_norm_eps = eps.as_double();
  if (!(config.rms_norm_eps > 0.0 && config.rms_norm_eps < 1.0)) {
    eps.fail(core::concat("must be between 0 and 1, it is ", config.rms_norm_eps));
  }
  config.rope = read_rope(json, config.max_positions);
  config.attention_bias = json.bool_or("attention_bias", false);
  config.mlp_bias = json.bool_or("mlp_bias", false);
  config.tied_head = json.bool_or("tie_word_embeddings", false);
  refuse_other_mathematics(json);
  return config;
}

}  // namespace distill::models::llama
