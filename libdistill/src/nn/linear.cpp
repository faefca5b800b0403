#include <distill/nn/linear.h>

#include <ATen/TensorOperators.h>

#include <distill/ops/linear.h>

namespace distill::nn {

namespace {

/// DoRA: each output of the changed matrix by its magnitude over the length of its row.
at::Tensor rescaled(const at::Tensor& out, const Adapter& adapter, const Linear& linear) {
  const at::Tensor factors = adapter.magnitude / adapter.row_lengths(linear.base_matrix());
  const at::Tensor scaled = (out * factors).to(out.scalar_type());
  return linear.bias.defined() ? scaled + linear.bias : scaled;
}

at::Tensor base_product(const Linear& linear, const at::Tensor& x) {
  return linear.quantized ? ops::linear(x, *linear.quantized, linear.bias)
                          : ops::linear(x, linear.weight, linear.bias);
}

at::Tensor changed_product(const Linear& linear, const at::Tensor& x, const at::Tensor& bias,
                           const ops::LowRank& change) {
  return linear.quantized ? ops::low_rank_linear(x, *linear.quantized, bias, change)
                          : ops::low_rank_linear(x, linear.weight, bias, change);
}

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (!adapter) return base_product(*this, x);
  if (!adapter->is_on()) {
    if (!adapter->start_a.defined()) return base_product(*this, x);
    return changed_product(*this, x, bias, adapter->at_start().change());
  }
  if (!adapter->magnitude.defined()) return changed_product(*this, x, bias, adapter->change());
  return rescaled(changed_product(*this, x, {}, adapter->change()), *adapter, *this);
}

at::Tensor Linear::matrix() const {
  at::Tensor base = base_matrix();
  if (!adapter) return base;
  const bool on = adapter->is_on();
  if (!on && !adapter->start_a.defined()) return base;
  return (on ? *adapter : adapter->at_start()).merged(base).to(base.scalar_type());
}

}  // namespace distill::nn
