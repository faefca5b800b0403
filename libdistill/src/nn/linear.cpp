#include <distill/nn/linear.h>

#include <ATen/ops/linear.h>

namespace distill::nn {

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
}

}  // namespace distill::nn
