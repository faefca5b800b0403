#include <distill/nn/linear.h>

#include <algorithm>

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

bool has_dora(const Linear& linear) {
  return linear.adapter && linear.adapter->is_on() && linear.adapter->magnitude.defined();
}

/// As the adapter's switch says; with DoRA without the bias, which comes after the rescaling.
ops::FrozenLinear as_frozen(const Linear& linear) {
  ops::FrozenLinear frozen;
  if (linear.quantized) {
    frozen.weight = *linear.quantized;
  } else {
    frozen.weight = linear.weight;
  }
  if (!has_dora(linear)) frozen.bias = linear.bias;
  if (!linear.adapter) return frozen;
  const Adapter& adapter = *linear.adapter;
  if (adapter.is_on()) {
    frozen.change = adapter.change();
  } else if (adapter.start_a.defined()) {
    frozen.change = adapter.at_start().change();
  }
  return frozen;
}

bool is_trained(const Linear& linear) {
  return (linear.weight.defined() && linear.weight.requires_grad()) ||
         (linear.bias.defined() && linear.bias.requires_grad());
}

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const {
  const Linear* const self = this;
  return adapter ? project_all({&self, 1}, x)[0] : base_product(*this, x);
}

std::vector<at::Tensor> project_all(std::span<const Linear* const> layers, const at::Tensor& x) {
  const auto any = [&](const auto& holds) {
    return std::ranges::any_of(layers, [&](const Linear* linear) { return holds(*linear); });
  };
  std::vector<at::Tensor> outs;
  if (!any([](const Linear& linear) { return linear.adapter.has_value(); }) || any(is_trained)) {
    for (const Linear* linear : layers) outs.push_back((*linear)(x));
    return outs;
  }
  std::vector<ops::FrozenLinear> frozen;
  for (const Linear* linear : layers) frozen.push_back(as_frozen(*linear));
  outs = ops::low_rank_linears(x, frozen);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (has_dora(*layers[i])) outs[i] = rescaled(outs[i], *layers[i]->adapter, *layers[i]);
  }
  return outs;
}

at::Tensor Linear::matrix() const {
  at::Tensor base = base_matrix();
  if (!adapter) return base;
  const bool on = adapter->is_on();
  if (!on && !adapter->start_a.defined()) return base;
  return (on ? *adapter : adapter->at_start()).merged(base).to(base.scalar_type());
}

}  // namespace distill::nn
