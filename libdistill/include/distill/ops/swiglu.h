#pragma once

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// silu(gate) * up, elementwise; the product is formed in fp32. gate, up [..., I]. Shazeer 2020.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace distill::ops
