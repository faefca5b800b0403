#include <distill/nn/decoder_block.h>

namespace distill::nn {

Stream DecoderBlock::finish(const at::Tensor& attended, const at::Tensor& residual,
                            const RmsNorm& next) const {
  const auto [normed, sum] = post_attention_norm.add(attended, residual);
  const auto [next_normed, next_sum] = next.add(mlp(normed), sum);
  return {next_normed, next_sum};
}

Stream DecoderBlock::forward(const Stream& in, const RmsNorm& next, const RotaryTable& rotary,
                             std::span<const std::int64_t> segments,
                             types::AttentionInputs* taken) const {
  return finish(attention.forward(in.normed, rotary, segments, taken), in.residual, next);
}

Stream DecoderBlock::forward_cached(const Stream& in, const RmsNorm& next,
                                    const RotaryTable& rotary, KvCache& cache,
                                    std::int64_t layer) const {
  return finish(attention.forward_cached(in.normed, rotary, cache, layer), in.residual, next);
}

}  // namespace distill::nn
