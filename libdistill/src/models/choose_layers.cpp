#include <distill/models/choose_layers.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/models/layer_steps.h>
#include <distill/models/load.h>
#include <distill/ops/head_product.h>
#include <distill/ops/linear_divergence.h>

#include "models/check_input.h"
#include "models/layer_equations.h"
#include "models/text_pieces.h"

namespace distill::models {

namespace {

using Layers = std::vector<std::int64_t>;

constexpr const char* kNotFinite = "no layers can be chosen: the model's states are not finite";

/// Whole choices and single gaps of one model, measured on held-out sequences.
class Evaluator {
 public:
  Evaluator(CausalLm& model, const types::ModelInput& texts, double ridge)
      : steps_(dynamic_cast<LayerSteps*>(&model)),
        layers_(model.shape().num_layers),
        ridge_(ridge) {
    if (steps_ == nullptr) {
      fail<UnsupportedError>("this model family does not show its layers; choose them yourself");
    }
    const std::size_t sequences = texts.segments.size() - 1;
    constexpr std::size_t kShare = 5;
    if (sequences < kShare) {
      fail<InputError>("choosing layers needs at least ", kShare, " sequences of text, there are ",
                       sequences, "; give more text");
    }
    const std::size_t seen = sequences - sequences / kShare;
    fitted_ = pieces_of(texts, 0, seen);
    held_out_ = pieces_of(texts, seen, sequences);
    all_ = pieces_of(texts, 0, sequences);
    states_.push_back(steps_->first_states(texts));
    for (std::int64_t layer = 0; layer < layers_; ++layer) {
      states_.push_back(stepped(layer, states_.back(), all_));
    }
    for (const Piece& piece : held_out_) {
      const auto output = steps_->output_of(piece.of(states_.back()));
      truth_.push_back({output.hidden, output.head, output.transform});
    }
  }

  std::int64_t layers() const { return layers_; }

  /// Of `layer` in the place of layers [layer, end), with all others as they are.
  double gap_kl(std::int64_t layer, std::int64_t end) {
    at::Tensor states = fitted(layer, end, states_of(layer), held_out_);
    for (std::int64_t next = end; next < layers_; ++next) {
      states = stepped(next, states, held_out_);
    }
    return kl(states);
  }

  /// Of a whole choice.
  LayerChoice measured(const Layers& kept) {
    at::Tensor states = states_.front();
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const std::int64_t end = i + 1 < kept.size() ? kept[i + 1] : layers_;
      states = fitted(kept[i], end, states, all_);
    }
    return {kept, kl(states)};
  }

 private:
  const at::Tensor& states_of(std::int64_t layer) const {
    return states_[static_cast<std::size_t>(layer)];
  }

  /// Behind `layer`, for some sequences; others' rows hold anything.
  at::Tensor stepped(std::int64_t layer, const at::Tensor& states,
                     const std::vector<Piece>& sequences) {
    at::Tensor result = at::empty_like(states);
    for (const Piece& piece : sequences) {
      piece.of(result).copy_(steps_->step(layer, piece.of(states), piece.input));
    }
    return result;
  }

  /// Behind `layer`, which reads `states` and is fitted to what the layers before `end` gave; of
  /// the sequences that are wanted, others' rows may hold anything.
  at::Tensor fitted(std::int64_t layer, std::int64_t end, const at::Tensor& states,
                    const std::vector<Piece>& wanted) {
    // A layer that stands for itself, and reads what it always read.
    if (end == layer + 1 && states.is_same(states_of(layer))) return states_of(end);
    const LayerGoal goal(states_of(end));
    LayerEquations equations(layer);
    nn::Linear* projection = nullptr;
    for (const Piece& piece : fitted_) {
      const auto last = steps_->last_projection(layer, piece.of(states), piece.input);
      if (!last) break;
      projection = last->projection;
      equations.add(piece, *last, goal);
    }
    at::Tensor result = at::empty_like(states);
    const at::Tensor weight =
        projection == nullptr
            ? at::Tensor()
            : (projection->weight + equations.solve(ridge_)).to(projection->weight.scalar_type());
    for (const Piece& piece : wanted) {
      piece.of(result).copy_(behind(layer, piece, states, weight));
    }
    return result;
  }

  /// Behind `layer` with `weight` in its last projection; undefined: as the layer is.
  at::Tensor behind(std::int64_t layer, const Piece& piece, const at::Tensor& states,
                    const at::Tensor& weight) {
    if (!weight.defined()) return steps_->step(layer, piece.of(states), piece.input);
    const auto last = steps_->last_projection(layer, piece.of(states), piece.input);
    at::Tensor result = ops::head_product(last->inner, weight) + last->residual;
    if (const at::Tensor& bias = last->projection->bias; bias.defined()) result.add_(bias);
    return result;
  }

  /// Of states behind the last layer, in nats a token.
  double kl(const at::Tensor& states) {
    double sum = 0;
    std::int64_t tokens = 0;
    constexpr ops::LogitTerm kKl{ops::LogitTermKind::kForwardKl};
    for (std::size_t i = 0; i < held_out_.size(); ++i) {
      const auto output = steps_->output_of(held_out_[i].of(states));
      ops::LinearDivergenceInput input;
      input.student_hidden = output.hidden;
      input.student_head = output.head;
      input.student_transform = output.transform;
      input.teacher = truth_[i];
      const auto result = ops::linear_divergence(input, std::span(&kKl, 1));
      sum += result.total.item<double>();
      tokens += result.count;
    }
    return sum / static_cast<double>(tokens);
  }

  LayerSteps* steps_;
  std::int64_t layers_;
  double ridge_;
  std::vector<Piece> fitted_, held_out_, all_;
  std::vector<at::Tensor> states_;         ///< in front of each layer, and behind the last
  std::vector<types::DenseHidden> truth_;  ///< of each held-out sequence
};

/// What gaps cost: of a layer in the place of itself and those before `end`.
using GapCosts = std::map<std::pair<std::int64_t, std::int64_t>, double>;

/// The choice with the least sum of costs; no gap is wider than those that were measured.
Layers cheapest(const GapCosts& costs, std::int64_t layers, std::int64_t count) {
  struct Best {
    double cost = std::numeric_limits<double>::infinity();
    std::int64_t last = -1;  ///< layer that is kept last
  };
  // best[n][end]: of n layers that stand for those before `end`.
  const auto width = static_cast<std::size_t>(layers) + 1;
  std::vector<std::vector<Best>> best(static_cast<std::size_t>(count) + 1,
                                      std::vector<Best>(width));
  best[0][0].cost = 0;
  for (std::size_t n = 1; n < best.size(); ++n) {
    for (const auto& [gap, cost] : costs) {
      const double sum = best[n - 1][static_cast<std::size_t>(gap.first)].cost + cost;
      Best& here = best[n][static_cast<std::size_t>(gap.second)];
      if (sum < here.cost) here = {sum, gap.first};
    }
  }
  if (best.back().back().last < 0) fail<Error>(kNotFinite);
  Layers kept(static_cast<std::size_t>(count));
  std::int64_t end = layers;
  for (std::size_t n = kept.size(); n > 0; --n) {
    end = kept[n - 1] = best[n][static_cast<std::size_t>(end)].last;
  }
  return kept;
}

/// Layers that one of `count` may stand for: twice as many as on average, which is rounded up.
/// Wider gaps may cost little before training, and end worse.
std::int64_t widest_gap(std::int64_t layers, std::int64_t count) {
  return 2 * ((layers + count - 1) / count);
}

GapCosts gap_costs(Evaluator& evaluator, std::int64_t widest, const ChooseLayersOptions& options) {
  const std::int64_t layers = evaluator.layers();
  GapCosts costs;
  ChooseLayersProgress progress;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    progress.of += std::min(widest, layers - layer);
  }
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    for (std::int64_t end = layer + 1; end <= std::min(layer + widest, layers); ++end) {
      // What cannot be measured (states that are not finite) is not chosen.
      const double cost = end == layer + 1 ? 0 : evaluator.gap_kl(layer, end);
      if (std::isfinite(cost)) costs[{layer, end}] = cost;
      ++progress.done;
      if (options.on_progress) options.on_progress(progress);
    }
  }
  return costs;
}

}  // namespace

ChosenLayers choose_layers(CausalLm& model, std::int64_t count, const types::ModelInput& texts,
                           const ChooseLayersOptions& options) {
  const c10::NoGradGuard no_graph;
  check_input(texts, model.shape());
  const std::int64_t layers = model.shape().num_layers;
  if (count < 1 || count > layers) {
    fail<InputError>(count, " layers are to be chosen, the model has ", layers);
  }
  Evaluator evaluator(model, texts, options.ridge);
  ChosenLayers chosen;
  chosen.even = evaluator.measured(evenly_spaced_layers(layers, count));
  const GapCosts costs = gap_costs(evaluator, widest_gap(layers, count), options);
  chosen.best = evaluator.measured(cheapest(costs, layers, count));
  const bool finite = std::isfinite(chosen.best.kl);
  if (!finite || chosen.even.kl <= chosen.best.kl) chosen.best = chosen.even;
  if (!std::isfinite(chosen.best.kl)) fail<Error>(kNotFinite);
  return chosen;
}

}  // namespace distill::models
