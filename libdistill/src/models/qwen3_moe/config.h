#pragma once

#include <cstdint>
#include <vector>

#include <distill/io/json_value.h>
#include <distill/nn/mixture_of_experts.h>

#include "models/decoder/config.h"
#include "models/decoder/layer_rows.h"

namespace distill::models::qwen3_moe {

/// What config.json says of a Qwen3-MoE model, checked.
struct Config {
  decoder::Sizes sizes;
  decoder::Heads heads;
  bool attention_bias = false;         ///< q, k, v and o projections
  std::int64_t intermediate_size = 0;  ///< of layers without experts
  std::vector<bool> sparse;            ///< layers with experts
  decoder::ExpertSizes experts;
  nn::RouterOptions router;
};

/// Throws FormatError and UnsupportedError, naming file and key.
Config read_config(const io::JsonCursor& json);

}  // namespace distill::models::qwen3_moe
