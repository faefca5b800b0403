#include <distill/nn/embedding.h>

#include <distill/ops/embedding.h>

namespace distill::nn {

at::Tensor Embedding::operator()(const at::Tensor& ids) const {
  return ops::embedding(weight, ids);
}

}  // namespace distill::nn
