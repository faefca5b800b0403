#include <distill/nn/embedding.h>

#include <ATen/ops/embedding.h>

namespace distill::nn {

at::Tensor Embedding::operator()(const at::Tensor& ids) const {
  return at::embedding(weight, ids);
}

}  // namespace distill::nn
