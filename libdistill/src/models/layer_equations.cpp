#include "models/layer_equations.h"

#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cholesky_solve.h>
#include <ATen/ops/linalg_cholesky_ex.h>
#include <ATen/ops/median.h>
#include <ATen/ops/split.h>

#include <distill/core/error.h>
#include <distill/ops/head_product.h>

namespace distill::models {

namespace {

constexpr double kTiny = 1e-30;  // states of zeros

/// a [n, A], b [n, B] -> a^T b [A, B] in fp32.
at::Tensor column_products(const at::Tensor& a, const at::Tensor& b) {
  return ops::head_product(a.t().contiguous(), b.t().contiguous());
}

void add_to(at::Tensor& sum, const at::Tensor& part) {
  if (sum.defined()) {
    sum.add_(part);
  } else {
    sum = part.to(at::kDouble);
  }
}

void require_plain(const nn::Linear& projection, std::int64_t layer) {
  const bool plain = !projection.quantized && !projection.adapter;
  if (plain && projection.weight.defined()) return;
  fail<UnsupportedError>("layer ", layer,
                         " cannot be fitted: its weights are quantised or have an adapter");
}

}  // namespace

LayerGoal::LayerGoal(at::Tensor states) : target(std::move(states)) {
  std::vector<at::Tensor> squares;
  for (const at::Tensor& some : at::split(target, kPieceTokens)) {
    squares.push_back(some.to(at::kFloat).square().mean(1, /*keepdim=*/true));
  }
  const at::Tensor all = at::cat(squares);
  constexpr double kFloor = 0.1;
  weights = all.clamp_min(kFloor * at::median(all).item<double>() + kTiny).rsqrt();
}

at::Tensor LayerGoal::missing(const Piece& piece, const at::Tensor& states) const {
  return (piece.of(target).to(at::kFloat) - states) * piece.of(weights);
}

double sum_of_squares(const at::Tensor& values) {
  return values.square().sum(at::kDouble).item<double>();
}

void LayerEquations::add(const Piece& piece, const LastProjection& last, const LayerGoal& goal) {
  require_plain(*last.projection, layer_);
  const at::Tensor given = (*last.projection)(last.inner).to(at::kFloat);
  const at::Tensor missing = goal.missing(piece, last.residual.to(at::kFloat) + given);
  squares_ += sum_of_squares(missing);
  // In the model's type: what is lost by rounding is like noise a thousandth of the values.
  const auto type = last.inner.scalar_type();
  const at::Tensor read = (last.inner * piece.of(goal.weights)).to(type);
  add_to(gram_, column_products(read, read));
  add_to(right_, column_products(read, missing.to(type)));
}

at::Tensor LayerEquations::solve(double ridge) {
  const at::Tensor diagonal = gram_.diagonal();
  if (!diagonal.isfinite().all().item<bool>() || !right_.isfinite().all().item<bool>()) {
    fail<Error>("layer ", layer_, " cannot be fitted: its states are not finite");
  }
  diagonal.add_(ridge * diagonal.mean().item<double>() + kTiny);
  const auto [factor, info] = at::linalg_cholesky_ex(gram_);
  gram_ = at::Tensor();  // the solver takes a copy of the factor
  if (info.item<std::int64_t>() != 0) {
    fail<Error>("layer ", layer_, " cannot be fitted: a ridge of ", ridge,
                " is too small for so few tokens; use a larger one, or more tokens");
  }
  return at::cholesky_solve(right_, factor).t();
}

}  // namespace distill::models
