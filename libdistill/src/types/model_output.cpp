#include <distill/types/model_output.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>

namespace distill::types {

at::Tensor logits(const ModelOutput& output, const at::Tensor& hidden_rows) {
  const auto dtype = output.head.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor result = at::mm(hidden_rows.to(dtype), output.head.to(dtype).t());
  if (output.transform.scale != 1.0) result = result * output.transform.scale;
  if (output.transform.softcap > 0) {
    result = at::tanh(result / output.transform.softcap) * output.transform.softcap;
  }
  return result;
}

}  // namespace distill::types
