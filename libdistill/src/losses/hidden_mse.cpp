#include <distill/losses/hidden_mse.h>

#include <ATen/ops/where.h>

#include "losses/hidden_loss.inl"

namespace distill::losses {

void describe(core::FieldVisitor& visit, HiddenMseOptions& options) {
  describe_hidden(visit, options);
  visit("relative", options.relative,
        "divide each token's error by the mean square of the teacher's state");
}

void validate(const HiddenMseOptions& options, core::Problems& problems) {
  check_not_negative("weight", options.weight, problems);
}

/// y and t [n, H] -> [n].
at::Tensor distances(const HiddenMseOptions& options, const at::Tensor& y, const at::Tensor& t) {
  const at::Tensor errors = (y - t).square().mean(1);
  if (!options.relative) return errors;
  const at::Tensor size = t.square().mean(1);
  return errors / at::where(size > 0, size, 1.0);
}

template class HiddenLoss<HiddenMseOptions>;

}  // namespace distill::losses
