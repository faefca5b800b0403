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

Stream DecoderBlock::forward(const Stream& in, const RmsNorm& next, const RotaryTable& rotary,
                             std::span<const std::int64_t> segments,
                             types::AttentionInputs* taken) const {
  const at::Tensor attended = std::visit(
      [&](const auto& layer) { return layer.forward(in.normed, rotary, segments, taken); },
      attention);
  return finish(attended, in.residual, next);
}

Stream DecoderBlock::forward_shown(const Stream& in, const RmsNorm& next, const RotaryTable& rotary,
                                   std::span<const std::int64_t> segments, const ShowLast& show) {
  auto* mlp = std::get_if<SwigluMlp>(&feed_forward);
  if (mlp == nullptr) return forward(in, next, rotary, segments);
  const at::Tensor attended = std::visit(
      [&](const auto& layer) { return layer.forward(in.normed, rotary, segments, nullptr); },
      attention);
  const auto [normed, sum] = post_attention_norm.add(attended, in.residual);
  const at::Tensor inner = mlp->inner(normed);
  show(mlp->down_proj, inner, sum);
  const auto [next_normed, next_sum] = next.add(mlp->down_proj(inner), sum);
  return {next_normed, next_sum};
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
