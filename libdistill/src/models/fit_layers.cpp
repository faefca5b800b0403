#include <distill/models/fit_layers.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/models/layer_steps.h>

#include "models/check_input.h"
#include "models/layer_equations.h"
#include "models/text_pieces.h"

namespace distill::models {

namespace {

/// The source's layer whose result each layer of the student should give.
std::vector<std::int64_t> last_of_each(std::span<const std::int64_t> kept, std::int64_t layers) {
  std::vector<std::int64_t> last;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    last.push_back(i + 1 < kept.size() ? kept[i + 1] - 1 : layers - 1);
  }
  return last;
}

/// A model on its way through the texts: states [N, H] behind some of its layers.
class Walk {
 public:
  Walk(CausalLm& model, const types::ModelInput& texts, const std::vector<Piece>& pieces,
       const FitLayersOptions& options)
      : steps_(dynamic_cast<LayerSteps*>(&model)), pieces_(pieces), options_(options) {
    if (steps_ == nullptr) {
      fail<UnsupportedError>("this model family does not show its layers; leave out `fit`");
    }
    states_ = steps_->first_states(texts);
  }

  std::int64_t layers_done() const { return done_; }
  const at::Tensor& states() const { return states_; }
  std::optional<LastProjection> next_projection(const Piece& piece) {
    return steps_->last_projection(done_, piece.of(states_), piece.input);
  }
  void step() {
    for (const Piece& piece : pieces_) {
      if (options_.between_pieces) options_.between_pieces();
      const at::Tensor states = piece.of(states_);
      states.copy_(steps_->step(done_, states, piece.input));
    }
    ++done_;
  }

 private:
  LayerSteps* steps_;
  const std::vector<Piece>& pieces_;
  const FitLayersOptions& options_;
  at::Tensor states_;
  std::int64_t done_ = 0;
};

/// Changes the next layer of the student to reach the goal, and goes through it; nothing, and no
/// change, for one of experts.
std::optional<LayerFit> fit_next(Walk& student, const LayerGoal& goal,
                                 const std::vector<Piece>& pieces,
                                 const FitLayersOptions& options) {
  const std::int64_t layer = student.layers_done();
  LayerEquations equations(layer);
  nn::Linear* projection = nullptr;
  for (const Piece& piece : pieces) {
    if (options.between_pieces) options.between_pieces();
    const auto last = student.next_projection(piece);
    if (!last) break;
    projection = last->projection;
    equations.add(piece, *last, goal);
  }
  if (projection != nullptr) projection->weight.add_(equations.solve(options.ridge));
  student.step();
  if (projection == nullptr) return std::nullopt;
  double after = 0;
  for (const Piece& piece : pieces) {
    after += sum_of_squares(goal.missing(piece, piece.of(student.states()).to(at::kFloat)));
  }
  const auto values = static_cast<double>(goal.target.numel());
  const auto error = [&](double squares) { return std::sqrt(squares / values); };
  return LayerFit{layer, error(equations.squares()), error(after)};
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
  check_input(texts, source.shape());
  const std::vector<Piece> pieces = pieces_of(texts, 0, texts.segments.size() - 1);
  Walk from(source, texts, pieces, options), to(student, texts, pieces, options);
  std::vector<LayerFit> fits;
  for (const std::int64_t last : last_of_each(kept, source.shape().num_layers)) {
    while (from.layers_done() <= last) from.step();
    if (const auto fit = fit_next(to, LayerGoal(from.states()), pieces, options))
      fits.push_back(*fit);
  }
  return fits;
}

}  // namespace distill::models
