#pragma once

#include <distill/ops/dropout.h>

namespace distill::ops {

/// Without a graph.
at::Tensor dropped(const at::Tensor& x, const Dropout& options);

/// sum += dropped(x): what the gradient of an input takes. Both dense, of one dtype.
void add_dropped(const at::Tensor& x, const Dropout& options, at::Tensor& sum);

}  // namespace distill::ops
