#include "models/decoder/config.h"

#include <algorithm>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "models/rope_config.h"

namespace distill::models::decoder {

namespace {

constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxPositions = std::int64_t{1} << 30;
constexpr std::int64_t kMaxExpertsInAll = 100'000;

/// Options of transformers that change what the model computes and that are not done here.
void refuse_other_mathematics(const io::JsonCursor& json) {
  const std::string activation = json.string_or("hidden_act", "silu");
  if (activation != "silu") {
    fail<UnsupportedError>(json.at("hidden_act").where(), " is ", core::printable(activation),
                           ", only silu is supported");
  }
  if (json.bool_or("add_cross_attention", false) || json.bool_or("is_encoder_decoder", false)) {
    fail<UnsupportedError>(json.source(),
                           ": an encoder-decoder model; only decoders are supported");
  }
  if (json.bool_or("use_mrope", false)) {
    fail<UnsupportedError>(json.at("use_mrope").where(),
                           " is true; positions in several dimensions are not supported");
  }
}

/// Stretched positions may be used, though configs keep the old number beside them.
std::int64_t stretched_positions(std::int64_t positions, const nn::RopeOptions& rope) {
  const bool stretches = rope.type == nn::RopeType::kDynamic || rope.type == nn::RopeType::kYarn;
  if (!stretches) return positions;
  const double most =
      std::min(rope.original_positions * rope.factor, static_cast<double>(kMaxPositions));
  return std::max(positions, static_cast<std::int64_t>(most));
}

}  // namespace

std::int64_t positive_or(const io::JsonCursor& json, std::string_view name, std::int64_t high,
                         std::int64_t fallback) {
  return json.has(name) ? json.at(name).int_in(1, high) : fallback;
}

void require_key(const io::JsonCursor& json, std::string_view name) {
  if (json.as_object().find(name) == nullptr) json.at(name);
}

Sizes read_sizes(const io::JsonCursor& json) {
  Sizes sizes;
  sizes.vocab_size = json.at("vocab_size").int_in(1, kMaxVocabulary);
  sizes.hidden_size = json.at("hidden_size").int_in(1, kMaxWidth);
  sizes.num_layers = json.at("num_hidden_layers").int_in(1, kMaxLayers);
  const std::int64_t positions = json.at("max_position_embeddings").int_in(1, kMaxPositions);
  const io::JsonCursor eps = json.at("rms_norm_eps");
  sizes.rms_norm_eps = eps.as_double();
  if (!(sizes.rms_norm_eps > 0.0 && sizes.rms_norm_eps < 1.0)) {
    eps.fail(core::concat("must be between 0 and 1, it is ", sizes.rms_norm_eps));
  }
  sizes.rope = read_rope(json, positions);
  sizes.max_positions = stretched_positions(positions, sizes.rope);
  sizes.tied_head = json.bool_or("tie_word_embeddings", false);
  refuse_other_mathematics(json);
  return sizes;
}

Heads read_heads(const io::JsonCursor& json, std::int64_t hidden_size) {
  Heads heads;
  heads.num_heads = json.at("num_attention_heads").int_in(1, kMaxHeads);
  heads.num_kv_heads = positive_or(json, "num_key_value_heads", kMaxHeads, heads.num_heads);
  if (heads.num_heads % heads.num_kv_heads != 0) {
    json.at("num_key_value_heads")
        .fail(core::concat("must divide num_attention_heads (", heads.num_heads, "), it is ",
                           heads.num_kv_heads));
  }
  if (!json.has("head_dim") && hidden_size % heads.num_heads != 0) {
    json.at("num_attention_heads")
        .fail(core::concat("must divide hidden_size (", hidden_size,
                           ") when there is no head_dim, it is ", heads.num_heads));
  }
  heads.head_dim = positive_or(json, "head_dim", kMaxWidth, hidden_size / heads.num_heads);
  if (heads.head_dim % 2 != 0) {
    json.at(json.has("head_dim") ? "head_dim" : "hidden_size")
        .fail(core::concat("must give heads of an even size for rotary positions, it gives ",
                           heads.head_dim));
  }
  return heads;
}

std::int64_t read_expert_count(const io::JsonCursor& json,
                               std::initializer_list<std::string_view> names,
                               std::int64_t num_layers) {
  const auto there = std::find_if(names.begin(), names.end(),
                                  [&](std::string_view name) { return json.has(name); });
  const io::JsonCursor count = json.at(there == names.end() ? *names.begin() : *there);
  return count.int_in(1, kMaxExpertsInAll / num_layers);
}

}  // namespace distill::models::decoder
