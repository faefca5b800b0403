#include <distill/nn/linear.h>

#include <distill/ops/linear.h>

namespace distill::nn {

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return ops::linear(x, weight, bias);
}

}  // namespace distill::nn
