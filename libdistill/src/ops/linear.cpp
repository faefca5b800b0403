#include <distill/ops/linear.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <c10/core/InferenceMode.h>

#include "ops/few_rows.h"

namespace distill::ops {

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  // Not merely where no graph is recorded: a teacher must round as a student does, and a layer that
  // runs again in the backward pass as in the forward pass.
  if (!c10::InferenceMode::is_enabled() || !are_few_rows(x, weight)) {
    return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
  }
  at::Tensor product = few_rows_product(x, weight);
  if (bias.defined()) product.add_(bias);
  return product.to(x.scalar_type());
}

}  // namespace distill::ops
