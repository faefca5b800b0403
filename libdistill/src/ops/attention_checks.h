#pragma once

#include <cmath>

#include <distill/ops/attention.h>

#include "ops/kernel_call.h"

namespace distill::ops {

inline void check_options(const AttentionOptions& options, const char* op) {
  TORCH_CHECK(std::isfinite(options.scale), op, ": `scale` is ", options.scale,
              ", expected a finite number");
  TORCH_CHECK(options.window >= 0, op, ": `window` is ", options.window,
              ", expected a number of keys, or 0 for all");
}

inline void check_queries(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const char* op) {
  check_float(q, op, "q");
  check_same_type(k, q, op, "k");
  check_same_type(v, q, op, "v");
  TORCH_CHECK(q.dim() == 3, op, ": `q` is ", q.sizes(), ", expected [N, heads, D]");
}

}  // namespace distill::ops
