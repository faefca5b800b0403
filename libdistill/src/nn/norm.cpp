#include <distill/nn/norm.h>

#include <distill/ops/norm.h>

namespace distill::nn {

at::Tensor RmsNorm::operator()(const at::Tensor& x) const {
  return ops::rms_norm(x, weight, eps);
}

std::pair<at::Tensor, at::Tensor> RmsNorm::add(const at::Tensor& x,
                                               const at::Tensor& residual) const {
  return ops::add_rms_norm(x, residual, weight, eps);
}

}  // namespace distill::nn
