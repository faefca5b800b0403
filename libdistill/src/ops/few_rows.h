#pragma once

#include <ATen/core/Tensor.h>

#include "ops/stored_weight.h"

namespace distill::ops {

/// True where x [N, in] W^T is a product of so few rows that reading the weights [out, in] is all
/// the work: bf16, dense rows, in memory of the CPU.
bool are_few_rows(const at::Tensor& x, const StoredWeight& weight);

/// That product, fp32 [N, out]. Rows of a quantised weight are formed a few at a time.
at::Tensor few_rows_product(const at::Tensor& x, const StoredWeight& weight);

}  // namespace distill::ops
