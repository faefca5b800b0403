#pragma once

#include <cstdint>
#include <optional>

#include <distill/io/json_value.h>
#include <distill/nn/mixture_of_experts.h>

#include "models/decoder/config.h"
#include "models/decoder/layer_rows.h"

namespace distill::models::deepseek {

/// Latent attention; see nn::LatentAttention for the letters.
struct LatentSizes {
  std::int64_t num_heads = 0;
  std::optional<std::int64_t> query_rank;  ///< Rq
  std::int64_t rank = 0;                   ///< R
  std::int64_t nope_dim = 0;               ///< D
  std::int64_t rope_dim = 0;               ///< P, even
  std::int64_t value_dim = 0;              ///< Dv
  double scale = 0.0;
  bool bias = false;         ///< of the projections from and to the hidden states
  bool interleaved = false;  ///< pairs to rotate lie side by side
};

/// What config.json says of a DeepSeek model, checked.
struct Config {
  decoder::Sizes sizes;
  LatentSizes attention;
  std::int64_t intermediate_size = 0;  ///< of layers without experts
  std::int64_t num_dense_layers = 0;   ///< the first ones
  decoder::ExpertSizes experts;
  std::int64_t num_shared_experts = 0;
  nn::RouterOptions router;
  bool correction_bias = false;     ///< the router has one
  std::int64_t num_mtp_layers = 0;  ///< layers behind the last that only training used
};

/// Both throw FormatError and UnsupportedError, naming file and key.
Config read_v2_config(const io::JsonCursor& json);
Config read_v3_config(const io::JsonCursor& json);

}  // namespace distill::models::deepseek
