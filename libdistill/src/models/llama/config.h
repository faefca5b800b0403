#pragma once

#include <cstdint>

#include <distill/io/json_value.h>
#include <distill/nn/rotary_table.h>

namespace distill::models::llama {

/// What config.json says of a Llama model, checked.
struct Config {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t num_kv_heads = 0;  ///< divides num_heads
  std::int64_t head_dim = 0;      ///< even
  std::int64_t max_positions = 0;
  double rms_norm_eps = 0.0;
  nn::RopeOptions rope;
  bool attention_bias = false;  ///< q, k, v and o projections
  bool mlp_bias = false;
  bool tied_head = false;
};

/// Reads both forms that are in the wild: `rope_theta` with `rope_scaling`, and `rope_parameters`.
/// Throws FormatError for a missing, mistyped or absurd value, UnsupportedError for a valid one
/// that changes the mathematics in a way this library does not do; both name file and key.
Config read_config(const io::JsonCursor& json);

}  // namespace distill::models::llama
