#include <distill/nn/embedding.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>

#include <distill/ops/embedding.h>

namespace distill::nn {

at::Tensor Embedding::operator()(const at::Tensor& ids) const {
  const at::Tensor rows = ops::embedding(weight, ids);
  if (!adapter || !adapter->is_on()) return rows;
  const at::Tensor inner = adapter->a.index_select(1, ids).t().to(rows.scalar_type());
  const at::Tensor b = (adapter->b * adapter->options.scale()).to(rows.scalar_type());
  const at::Tensor changed = at::addmm(rows, inner, b.t());
  if (!adapter->magnitude.defined()) return changed;
  // The rows of W^T are as long as the table has tokens: one factor for each hidden dimension.
  const at::Tensor factors = adapter->magnitude / adapter->row_lengths(weight.t());
  return (changed * factors).to(rows.scalar_type());
}

}  // namespace distill::nn
