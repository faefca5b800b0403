#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include <ATen/core/Tensor.h>

namespace distill::types {

/// Which inner layers of a model are wanted, by their index 0 .. L-1 in any order.
struct LayerRequest {
  std::vector<std::int64_t> hidden;     ///< the hidden states after these blocks
  std::vector<std::int64_t> attention;  ///< the queries and keys of these blocks
  bool empty() const { return hidden.empty() && attention.empty(); }
};

/// What one block's attention maps are made of: softmax(scale q k^T), causal, inside each segment.
struct AttentionInputs {
  at::Tensor q;  ///< [N, heads, D], after rotary positions
  at::Tensor k;  ///< [N, kv_heads, D], after rotary positions; kv_heads divides heads
  double scale = 0.0;
};

/// What a model says of its inner layers for one batch: the ones that were asked for, by index.
struct LayerStates {
  std::map<std::int64_t, at::Tensor> hidden;  ///< [N, H] after the block, without the final norm
  std::map<std::int64_t, AttentionInputs> attention;
};

/// What must be known of a model before its inner layers can be compared.
struct LayerShape {
  std::int64_t num_layers = 0;
  std::int64_t hidden_size = 0;
};

}  // namespace distill::types
