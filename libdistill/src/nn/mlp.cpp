#include <distill/nn/mlp.h>

#include <array>

#include <distill/ops/swiglu.h>

namespace distill::nn {

at::Tensor SwigluMlp::operator()(const at::Tensor& x) const {
  return down_proj(inner(x));
}

at::Tensor SwigluMlp::inner(const at::Tensor& x) const {
  const auto projected = project_all(std::array{&gate_proj, &up_proj}, x);
  return ops::swiglu(projected[0], projected[1]);
}

}  // namespace distill::nn
