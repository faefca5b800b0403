#include <distill/ops/linear.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>

#include "ops/few_rows.h"
#include "ops/kernel_call.h"

namespace distill::ops {

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool graph =
      needs_graph({x, weight}) || (bias.defined() && needs_graph({bias}));
  if (graph || !are_few_rows(x, weight)) {
    return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
  }
  at::Tensor product = few_rows_product(x, weight);
  if (bias.defined()) product.add_(bias);
  return product.to(x.scalar_type());
}

}  // namespace distill::ops
