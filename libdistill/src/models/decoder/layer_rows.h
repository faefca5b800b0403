#pragma once

#include <cstdint>
#include <string>

#include <distill/nn/decoder_block.h>

#include "models/decoder/config.h"
#include "models/decoder/layer_table.h"

/// Parts of a block that several families have under the same names: each function sets the part up
/// and adds its rows.
namespace distill::models::decoder {

/// `input_layernorm`.
void add_input_norm(LayerTable& table, const Sizes& sizes, nn::DecoderBlock& block);
/// `post_attention_layernorm`.
void add_post_attention_norm(LayerTable& table, const Sizes& sizes, nn::DecoderBlock& block);

struct AttentionBiases {
  bool qkv = false;
  bool output = false;
};
/// `self_attn.{q,k,v,o}_proj`.
nn::Attention& add_grouped_attention(LayerTable& table, const Sizes& sizes, const Heads& heads,
                                     AttentionBiases biases, nn::DecoderBlock& block);
/// `self_attn.{q,k}_norm`.
void add_query_key_norms(LayerTable& table, double eps, nn::Attention& attention);

struct MlpSizes {
  std::int64_t hidden = 0;
  std::int64_t inner = 0;
  bool bias = false;
};
/// `PREFIX.{gate,up,down}_proj`.
void add_mlp(LayerTable& table, const std::string& prefix, const MlpSizes& sizes,
             nn::SwigluMlp& mlp);

struct ExpertSizes {
  std::int64_t count = 0;
  std::int64_t inner = 0;
};
/// `mlp.gate` and `mlp.experts.N.{gate,up,down}_proj`.
nn::MixtureOfExperts& add_experts(LayerTable& table, std::int64_t hidden, const ExpertSizes& sizes,
                                  const nn::RouterOptions& router, nn::DecoderBlock& block);

}  // namespace distill::models::decoder
