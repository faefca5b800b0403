#include <distill/models/logits.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tanh.h>

#include <distill/ops/head_product.h>

namespace distill::models {

at::Tensor logits(const types::ModelOutput& output, const at::Tensor& hidden_rows) {
  at::Tensor result = ops::head_product(hidden_rows, output.head);
  if (output.transform.scale != 1.0) result = result * output.transform.scale;
  if (output.transform.softcap > 0) {
    result = at::tanh(result / output.transform.softcap) * output.transform.softcap;
  }
  return result;
}

}  // namespace distill::models
