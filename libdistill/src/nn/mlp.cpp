#include <distill/nn/mlp.h>

#include <distill/ops/swiglu.h>

namespace distill::nn {

at::Tensor SwigluMlp::operator()(const at::Tensor& x) const {
  return down_proj(ops::swiglu(gate_proj(x), up_proj(x)));
}

}  // namespace distill::nn
