#include <distill/nn/decoder_block.h>

namespace distill::nn {

Stream DecoderBlock::finish(const at::Tensor& attended, const at::Tensor& residual,
                            const RmsNorm& next) const {
  const auto [normed, sum] = post_attention_norm.add(attended, residual);
  const at::Tensor fed =
      std::visit([&x = normed](const auto& layer) { return layer(x); }, feed_forward);
  const auto [next_normed, next_sum] = next.add(fed, sum);
  return {next_normed, next_sum};
}

at::Tensor DecoderBlock::attended(const Stream& in, const RotaryTable& rotary,
                                  std::span<const std::int64_t> segments,
                                  types::AttentionInputs* taken) const {
  return std::visit(
      [&](const auto& layer) { return layer.forward(in.normed, rotary, segments, taken); },
      attention);
}

Stream DecoderBlock::forward(const Stream& in, const RmsNorm& next, const RotaryTable& rotary,
                             std::span<const std::int64_t> segments,
                             types::AttentionInputs* taken) const {
  return finish(attended(in, rotary, segments, taken), in.residual, next);
}

std::optional<DecoderBlock::BeforeLast> DecoderBlock::before_last(
    const Stream& in, const RotaryTable& rotary, std::span<const std::int64_t> segments) const {
  const auto* mlp = std::get_if<SwigluMlp>(&feed_forward);
  if (mlp == nullptr) return std::nullopt;
  const auto [normed, sum] =
      post_attention_norm.add(attended(in, rotary, segments, nullptr), in.residual);
  return BeforeLast{mlp->inner(normed), sum};
}

Stream DecoderBlock::forward_cached(const Stream& in, const RmsNorm& next,
                                    const RotaryTable& rotary, const CachedSequences& sequences,
                                    std::int64_t layer) const {
  const at::Tensor attended = std::visit(
      [&](const auto& kind) { return kind.forward_cached(in.normed, rotary, sequences, layer); },
      attention);
  return finish(attended, in.residual, next);
}

}  // namespace distill::nn
