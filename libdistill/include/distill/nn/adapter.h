#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <ATen/core/Tensor.h>

#include <distill/ops/low_rank_linear.h>

namespace distill::nn {

/// What the adapters of one model share.
struct AdapterSwitch {
  bool enabled = true;  ///< off: the model is its base
  /// Of the pass that runs; nothing: no element is dropped.
  std::optional<std::uint64_t> dropout_seed = {};
};

struct AdapterOptions {
  std::int64_t rank = 0;
  double alpha = 0.0;
  bool rslora = false;   ///< scaled by alpha / sqrt(rank) (Kalajdzievski 2023), not alpha / rank
  bool dora = false;     ///< with a magnitude of each output
  double dropout = 0.0;  ///< of the input, while training
  double scale() const;  ///< of B A
};

/// A trained change of a frozen matrix W [out, in]: W + scale B A (LoRA; Hu et al. 2021, section
/// 4.1), its rows rescaled to learned lengths with DoRA (Liu et al. 2024, section 4.1; the length
/// that is divided by gets no gradient, section 4.3). Tensors are fp32, whatever W is.
struct Adapter {
  AdapterOptions options;
  at::Tensor a;          ///< [rank, in]
  at::Tensor b;          ///< [out, rank]
  at::Tensor magnitude;  ///< [out], DoRA only
  /// Where A and B began when W was reduced by scale B A then (PiSSA; Meng et al. 2024, section 3),
  /// else undefined: with the adapter off these take its place.
  at::Tensor start_a, start_b;
  std::uint64_t number = 0;  ///< of the adapter in its model: tells their dropout apart
  std::shared_ptr<const AdapterSwitch> shared;

  bool is_on() const { return shared == nullptr || shared->enabled; }
  /// With start_a and start_b for A and B, without magnitude and dropout: W as it was.
  Adapter at_start() const;
  /// As the switch says.
  ops::LowRank change() const;
  /// W + scale B A, rescaled, in fp32: what the adapter stands for, without dropout.
  at::Tensor merged(const at::Tensor& weight) const;
  /// Lengths of the rows of W + scale B A, fp32 [out], without a graph.
  at::Tensor row_lengths(const at::Tensor& weight) const;
};

}  // namespace distill::nn
