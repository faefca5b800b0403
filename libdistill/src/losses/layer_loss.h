#pragma once

#include <map>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/losses/layer_pairs.h>
#include <distill/losses/loss.h>

/// What the losses over inner layers share.
namespace distill::losses {

/// The pairs of a run: `given`, or all. Throws ConfigError naming the layer that is not there, or
/// the teacher that shows none.
std::vector<LayerPair> resolve_pairs(std::string_view kind, const std::vector<LayerPair>& given,
                                     const LossContext& context);

/// Throws ConfigError naming both widths when they differ.
void check_widths(std::string_view kind, const LossContext& context);

/// Trainable, fp32 [teacher width, student width].
at::Tensor make_projection(const LossContext& context);

/// Throws Error for a loss that was called before `prepare`.
void require_prepared(std::string_view kind, const std::vector<LayerPair>& pairs);

[[noreturn]] void fail_without_layer(std::int64_t layer, std::string_view kind, const char* whose);

template <class State>
const State& layer_of(const std::map<std::int64_t, State>& states, std::int64_t layer,
                      std::string_view kind, const char* whose) {
  const auto found = states.find(layer);
  if (found == states.end()) fail_without_layer(layer, kind, whose);
  return found->second;
}

/// Rows of `x` [N, ...] that count; all of them when `mask` is undefined.
at::Tensor valid_rows(const at::Tensor& x, const at::Tensor& mask);

/// `sum`: over valid tokens, with a graph, unweighted.
types::LossValue layer_value(const at::Tensor& sum, double weight, std::string_view kind,
                             std::int64_t count);

}  // namespace distill::losses
