#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include <ATen/core/Tensor.h>

#include <distill/nn/attention.h>
#include <distill/nn/cached_sequences.h>
#include <distill/nn/latent_attention.h>
#include <distill/nn/mixture_of_experts.h>
#include <distill/nn/mlp.h>
#include <distill/nn/norm.h>
#include <distill/nn/rotary_table.h>

namespace distill::nn {

/// The hidden states between two blocks: their sum so far, and the same normed for the next block.
/// Keeping both lets every residual addition share one pass with the norm that follows it.
struct Stream {
  at::Tensor normed;    ///< [N, H]
  at::Tensor residual;  ///< [N, H]
};

/// Pre-norm transformer block: attention, then a feed-forward layer, each with a residual addition.
struct DecoderBlock {
  RmsNorm input_norm;
  std::variant<Attention, LatentAttention> attention;
  RmsNorm post_attention_norm;
  std::variant<SwigluMlp, MixtureOfExperts> feed_forward;

  /// `in.normed` is already normed by `input_norm`; the result is normed by `next`, the norm that
  /// follows this block (the next block's, or the model's last). `taken`, unless null, gets the
  /// attention's queries and keys.
  Stream forward(const Stream& in, const RmsNorm& next, const RotaryTable& rotary,
                 std::span<const std::int64_t> segments,
                 types::AttentionInputs* taken = nullptr) const;
  /// What a dense feed-forward layer's last projection reads [N, I], and what its result is added
  /// to [N, H].
  struct BeforeLast {
    at::Tensor inner;
    at::Tensor residual;
  };
  /// As `forward`, as far as there; nothing where the feed-forward layer is one of experts.
  std::optional<BeforeLast> before_last(const Stream& in, const RotaryTable& rotary,
                                        std::span<const std::int64_t> segments) const;
  /// As `forward` for the next tokens of cached sequences. No graph.
  Stream forward_cached(const Stream& in, const RmsNorm& next, const RotaryTable& rotary,
                        const CachedSequences& sequences, std::int64_t layer) const;

 private:
  at::Tensor attended(const Stream& in, const RotaryTable& rotary,
                      std::span<const std::int64_t> segments, types::AttentionInputs* taken) const;
  Stream finish(const at::Tensor& attended, const at::Tensor& residual, const RmsNorm& next) const;
};

}  // namespace distill::nn
