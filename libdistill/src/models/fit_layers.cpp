#include <distill/models/fit_layers.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/median.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/models/last_projections.h>

namespace distill::models {

namespace {

constexpr std::int64_t kChunk = 2048;  // tokens whose wide copies are held at a time

/// The source's layer whose result each layer of the student should give.
std::vector<std::int64_t> last_of_each(std::span<const std::int64_t> kept, std::int64_t layers) {
  std::vector<std::int64_t> last;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    last.push_back(i + 1 < kept.size() ? kept[i + 1] - 1 : layers - 1);
  }
  return last;
}

/// Factor of each token's error [N, 1].
at::Tensor token_weights(const at::Tensor& target) {
  const at::Tensor squares = target.to(at::kFloat).square().mean(1, /*keepdim=*/true);
  constexpr double kFloor = 0.1, kTiny = 1e-30;
  return squares.clamp_min(kFloor * at::median(squares).item<double>() + kTiny).rsqrt();
}

/// Tokens of a layer for which its projection is solved, in chunks of rows.
struct Problem {
  const LastProjection& layer;
  const at::Tensor& target;   ///< [N, H]
  const at::Tensor& weights;  ///< [N, 1]

  std::int64_t tokens() const { return target.size(0); }

  /// What the projection reads, and what is missing in its result, both by the weights.
  std::pair<at::Tensor, at::Tensor> rows(std::int64_t begin) const {
    const std::int64_t count = std::min(kChunk, tokens() - begin);
    const auto part = [&](const at::Tensor& all) { return all.narrow(0, begin, count); };
    const at::Tensor inner = part(layer.inner);
    const at::Tensor given = layer.projection(inner).to(at::kFloat);
    const at::Tensor sum = part(layer.residual).to(at::kFloat) + given;
    const at::Tensor missing = part(target).to(at::kFloat) - sum;
    return {inner.to(at::kFloat) * part(weights), missing * part(weights)};
  }

  double error() const {
    double sum = 0;
    for (std::int64_t begin = 0; begin < tokens(); begin += kChunk) {
      sum += rows(begin).second.square().sum(at::kDouble).item<double>();
    }
    return std::sqrt(sum / static_cast<double>(target.numel()));
  }

  /// What is to be added to the projection's weight [H, I], float64.
  at::Tensor solve(double ridge) const {
    const auto inner = layer.inner.size(1), width = target.size(1);
    const auto options = target.options().dtype(at::kDouble);
    at::Tensor gram = at::zeros({inner, inner}, options),
               right = at::zeros({inner, width}, options);
    for (std::int64_t begin = 0; begin < tokens(); begin += kChunk) {
      const auto [read, missing] = rows(begin);
      gram.add_(at::mm(read.t(), read));
      right.add_(at::mm(read.t(), missing));
    }
    const at::Tensor diagonal = gram.diagonal();
    constexpr double kTiny = 1e-30;  // a layer that reads zeros
    diagonal.add_(ridge * diagonal.mean().item<double>() + kTiny);
    const auto [factor, info] = at::linalg_cholesky_ex(gram);
    if (info.item<std::int64_t>() != 0 || !right.isfinite().all().item<bool>()) {
      fail<Error>("layer ", layer.layer, " cannot be fitted: its states are not finite");
    }
    return at::cholesky_solve(right, factor).t();
  }
};

void require_plain(const LastProjection& layer) {
  const bool plain = !layer.projection.quantized && !layer.projection.adapter;
  if (plain && layer.projection.weight.defined()) return;
  fail<UnsupportedError>("layer ", layer.layer,
                         " cannot be fitted: its weights are quantised or have an adapter");
}

void check_kept(std::span<const std::int64_t> kept, const CausalLm& student,
                const CausalLm& source) {
  const bool ascending = std::ranges::adjacent_find(kept, std::greater_equal<>()) == kept.end();
  const bool inside = !kept.empty() && kept.front() >= 0 && kept.back() < source.shape().num_layers;
  if (ascending && inside && std::ssize(kept) == student.shape().num_layers) return;
  fail<InputError>("a student of ", student.shape().num_layers, " layers is to be fitted to ",
                   kept.size(), " of ", source.shape().num_layers,
                   " layers; each needs one, in ascending order");
}

}  // namespace

std::vector<LayerFit> fit_layers(CausalLm& student, CausalLm& source,
                                 std::span<const std::int64_t> kept, const types::ModelInput& texts,
                                 const FitLayersOptions& options) {
  const c10::NoGradGuard no_graph;
  check_kept(kept, student, source);
  auto* shown = dynamic_cast<LastProjections*>(&student);
  if (shown == nullptr) {
    fail<UnsupportedError>("this model family does not show its layers; leave out `fit`");
  }
  const auto last = last_of_each(kept, source.shape().num_layers);
  auto states = source.forward_with_layers(texts, {.hidden = last, .attention = {}}).layers.hidden;
  std::vector<LayerFit> fits;
  shown->visit_last_projections(texts, [&](const LastProjection& layer) {
    require_plain(layer);
    if (options.between_layers) options.between_layers();
    const at::Tensor target = states.at(last[static_cast<std::size_t>(layer.layer)]);
    const at::Tensor weights = token_weights(target);
    const Problem problem{layer, target, weights};
    LayerFit& fit = fits.emplace_back(LayerFit{layer.layer, problem.error(), 0});
    layer.projection.weight.add_(problem.solve(options.ridge));
    fit.error_after = problem.error();
    states.erase(last[static_cast<std::size_t>(layer.layer)]);
  });
  return fits;
}

}  // namespace distill::models
