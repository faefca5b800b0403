#include "ops/linear_brgemm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "ops/kernel_call.h"
#include "ops/packed_product.h"

namespace distill::ops {

using cpu::Bf16;

bool has_linear_brgemm(const at::Tensor& x, const StoredWeight& weight) {
  return cpu_has_brgemm() && is_bf16_product(x, weight) && weight.outs() % 2 == 0 &&
         weight.ins() % 2 == 0;
}

at::Tensor linear_forward(const at::Tensor& x, const StoredWeight& weight, const at::Tensor& bias) {
  const at::Tensor in = paired_rows(x);
  const StoredWeight rows = weight.paired();
  const at::Tensor added = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
  at::Tensor out = at::empty({x.size(0), weight.outs()}, x.options());
  multiply({x.size(0), weight.outs(), {rows.times_transposed(in)}, read<float>(added)},
           write<Bf16>(out));
  return out;
}

at::Tensor linear_input_grad(const at::Tensor& grad, const StoredWeight& weight) {
  const at::Tensor in = paired_rows(grad);
  const StoredWeight rows = weight.paired();
  at::Tensor out = at::empty({grad.size(0), weight.ins()}, grad.options());
  multiply({grad.size(0), weight.ins(), {rows.times(in)}}, write<Bf16>(out));
  return out;
}

at::Tensor linear_weight_grad(const at::Tensor& grad, const at::Tensor& x) {
  const at::Tensor rows = paired_rows(x), in = transposed_rows(paired_rows(grad));
  at::Tensor out = at::empty({grad.size(1), x.size(1)}, x.options());
  multiply({grad.size(1), x.size(1), {times(in, rows)}}, write<Bf16>(out));
  return out;
}

}  // namespace distill::ops
