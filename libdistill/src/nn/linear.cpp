#include <distill/nn/linear.h>

#include <ATen/TensorOperators.h>

#include <distill/ops/linear.h>

namespace distill::nn {

namespace {

/// DoRA: each output of the changed matrix by its magnitude over the length of its row.
at::Tensor rescaled(const at::Tensor& out, const Adapter& adapter, const Linear& linear) {
  const at::Tensor factors = adapter.magnitude / adapter.row_lengths(linear.weight);
  const at::Tensor scaled = (out * factors).to(out.scalar_type());
  return linear.bias.defined() ? scaled + linear.bias : scaled;
}

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (!adapter) return ops::linear(x, weight, bias);
  if (!adapter->is_on()) {
    if (!adapter->start_a.defined()) return ops::linear(x, weight, bias);
    return ops::low_rank_linear(x, weight, bias, adapter->at_start().change());
  }
  if (!adapter->magnitude.defined())
    return ops::low_rank_linear(x, weight, bias, adapter->change());
  return rescaled(ops::low_rank_linear(x, weight, {}, adapter->change()), *adapter, *this);
}

at::Tensor Linear::matrix() const {
  if (!adapter) return weight;
  const bool on = adapter->is_on();
  if (!on && !adapter->start_a.defined()) return weight;
  return (on ? *adapter : adapter->at_start()).merged(weight).to(weight.scalar_type());
}

}  // namespace distill::nn
