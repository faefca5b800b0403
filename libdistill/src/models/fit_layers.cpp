#include <distill/models/fit_layers.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/median.h>
#include <ATen/ops/split.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/models/layer_steps.h>
#include <distill/ops/head_product.h>

namespace distill::models {

namespace {

constexpr std::int64_t kPiece = 2048;  // tokens whose wide values are held at a time

/// The source's layer whose result each layer of the student should give.
std::vector<std::int64_t> last_of_each(std::span<const std::int64_t> kept, std::int64_t layers) {
  std::vector<std::int64_t> last;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    last.push_back(i + 1 < kept.size() ? kept[i + 1] - 1 : layers - 1);
  }
  return last;
}

/// Some sequences of the texts: tokens [begin, begin + size).
struct Piece {
  std::int64_t begin = 0;
  types::ModelInput input;

  at::Tensor of(const at::Tensor& all) const {
    return all.narrow(0, begin, input.input_ids.size(0));
  }
};

/// Whole sequences, about kPiece tokens in each piece.
std::vector<Piece> pieces_of(const types::ModelInput& texts) {
  std::vector<Piece> pieces;
  const auto& borders = texts.segments;
  for (std::size_t first = 0; first + 1 < borders.size();) {
    std::size_t last = first + 1;
    while (last + 1 < borders.size() && borders[last + 1] - borders[first] <= kPiece) ++last;
    const std::int64_t begin = borders[first], count = borders[last] - begin;
    Piece& piece = pieces.emplace_back(Piece{begin, {}});
    piece.input.input_ids = texts.input_ids.narrow(0, begin, count);
    piece.input.position_ids = texts.position_ids.narrow(0, begin, count);
    for (std::size_t i = first; i <= last; ++i) {
      piece.input.segments.push_back(borders[i] - begin);
    }
    first = last;
  }
  return pieces;
}

/// A model on its way through the texts: states [N, H] behind some of its layers.
class Walk {
 public:
  Walk(CausalLm& model, const types::ModelInput& texts, const std::vector<Piece>& pieces)
      : steps_(dynamic_cast<LayerSteps*>(&model)), pieces_(pieces) {
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
      const at::Tensor states = piece.of(states_);
      states.copy_(steps_->step(done_, states, piece.input));
    }
    ++done_;
  }

 private:
  LayerSteps* steps_;
  const std::vector<Piece>& pieces_;
  at::Tensor states_;
  std::int64_t done_ = 0;
};

/// What the states behind a layer should be, and by which factor [N, 1] each token's error counts.
struct Goal {
  const at::Tensor& target;  ///< [N, H]
  at::Tensor weights;

  explicit Goal(const at::Tensor& states) : target(states) {
    std::vector<at::Tensor> squares;
    for (const at::Tensor& some : at::split(target, kPiece)) {
      squares.push_back(some.to(at::kFloat).square().mean(1, /*keepdim=*/true));
    }
    const at::Tensor all = at::cat(squares);
    constexpr double kFloor = 0.1, kTiny = 1e-30;
    weights = all.clamp_min(kFloor * at::median(all).item<double>() + kTiny).rsqrt();
  }

  /// What is missing in `states` of a piece, by the weights.
  at::Tensor missing(const Piece& piece, const at::Tensor& states) const {
    return (piece.of(target).to(at::kFloat) - states) * piece.of(weights);
  }
  double error_of(double sum_of_squares) const {
    return std::sqrt(sum_of_squares / static_cast<double>(target.numel()));
  }
};

/// columns of a [n, A] and b [n, B] -> a^T b [A, B] in fp32.
at::Tensor column_products(const at::Tensor& a, const at::Tensor& b) {
  return ops::head_product(a.t().contiguous(), b.t().contiguous());
}

double sum_of_squares(const at::Tensor& values) {
  return values.square().sum(at::kDouble).item<double>();
}

/// The normal equations of a layer's last projection, summed over the texts in float64.
class Equations {
 public:
  explicit Equations(std::int64_t layer) : layer_(layer) {}

  void add(const Piece& piece, const LastProjection& last, const Goal& goal) {
    const at::Tensor given = (*last.projection)(last.inner).to(at::kFloat);
    const at::Tensor missing = goal.missing(piece, last.residual.to(at::kFloat) + given);
    squares_ += sum_of_squares(missing);
    // In the model's type: what is lost by rounding is like noise a thousandth of the values.
    const auto type = last.inner.scalar_type();
    const at::Tensor read = (last.inner * piece.of(goal.weights)).to(type);
    add_to(gram_, column_products(read, read));
    add_to(right_, column_products(read, missing.to(type)));
  }

  double squares() const { return squares_; }

  /// What is to be added to the projection's weight [H, I], float64.
  at::Tensor solve(double ridge) {
    const at::Tensor diagonal = gram_.diagonal();
    constexpr double kTiny = 1e-30;  // a layer that reads zeros
    diagonal.add_(ridge * diagonal.mean().item<double>() + kTiny);
    const auto [factor, info] = at::linalg_cholesky_ex(gram_);
    if (info.item<std::int64_t>() != 0 || !right_.isfinite().all().item<bool>()) {
      fail<Error>("layer ", layer_, " cannot be fitted: its states are not finite");
    }
    return at::cholesky_solve(right_, factor).t();
  }

 private:
  static void add_to(at::Tensor& sum, const at::Tensor& part) {
    if (sum.defined()) {
      sum.add_(part);
    } else {
      sum = part.to(at::kDouble);
    }
  }

  std::int64_t layer_;
  double squares_ = 0;
  at::Tensor gram_, right_;
};

void require_plain(const nn::Linear& projection, std::int64_t layer) {
  const bool plain = !projection.quantized && !projection.adapter;
  if (plain && projection.weight.defined()) return;
  fail<UnsupportedError>("layer ", layer,
                         " cannot be fitted: its weights are quantised or have an adapter");
}

/// Changes the next layer of the student to reach the goal, and goes through it; nothing, and no
/// change, for one of experts.
std::optional<LayerFit> fit_next(Walk& student, const Goal& goal, const std::vector<Piece>& pieces,
                                 const FitLayersOptions& options) {
  const std::int64_t layer = student.layers_done();
  Equations equations(layer);
  nn::Linear* projection = nullptr;
  for (const Piece& piece : pieces) {
    if (options.between_pieces) options.between_pieces();
    const auto last = student.next_projection(piece);
    if (!last) break;
    projection = last->projection;
    require_plain(*projection, layer);
    equations.add(piece, *last, goal);
  }
  if (projection != nullptr) projection->weight.add_(equations.solve(options.ridge));
  student.step();
  if (projection == nullptr) return std::nullopt;
  double after = 0;
  for (const Piece& piece : pieces) {
    after += sum_of_squares(goal.missing(piece, piece.of(student.states()).to(at::kFloat)));
  }
  return LayerFit{layer, goal.error_of(equations.squares()), goal.error_of(after)};
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
  const std::vector<Piece> pieces = pieces_of(texts);
  Walk from(source, texts, pieces), to(student, texts, pieces);
  std::vector<LayerFit> fits;
  for (const std::int64_t last : last_of_each(kept, source.shape().num_layers)) {
    while (from.layers_done() <= last) from.step();
    if (const auto fit = fit_next(to, Goal(from.states()), pieces, options)) fits.push_back(*fit);
  }
  return fits;
}

}  // namespace distill::models
