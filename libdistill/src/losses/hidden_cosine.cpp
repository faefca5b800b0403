#include <distill/losses/hidden_cosine.h>

#include <ATen/ops/where.h>

#include "losses/hidden_loss.inl"

namespace distill::losses {

void describe(core::FieldVisitor& visit, HiddenCosineOptions& options) {
  describe_hidden(visit, options);
}

void validate(const HiddenCosineOptions& options, core::Problems& problems) {
  check_not_negative("weight", options.weight, problems);
}

namespace {

/// Rows of length 1; rows of zeros stay.
at::Tensor directions(const at::Tensor& x) {
  const at::Tensor squares = x.square().sum(1, true);
  return x * at::where(squares > 0, squares, 1.0).rsqrt();
}

}  // namespace

/// y and t [n, H] -> [n].
at::Tensor distances(const HiddenCosineOptions&, const at::Tensor& y, const at::Tensor& t) {
  return (directions(y) - directions(t)).square().sum(1) * 0.5;
}

template class HiddenLoss<HiddenCosineOptions>;

}  // namespace distill::losses
