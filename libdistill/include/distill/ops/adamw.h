#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

namespace distill::ops {

struct AdamWStep {
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.0;    ///< decoupled: weights shrink by lr * weight_decay
  double gradient_scale = 1.0;  ///< gradients are multiplied by it first (clipping, averaging)
  std::int64_t step = 1;        ///< 1 for the first update (bias correction)
};

/// One fused, in-place AdamW update (Loshchilov and Hutter 2019) of fp32 `master`, `exp_avg` and
/// `exp_avg_sq` from `gradient` (fp32 or bf16). `compute` is the copy the model uses: bf16, it
/// receives the rounded new weights; undefined when the model uses `master` itself.
void adamw_step_(const at::Tensor& master, const at::Tensor& compute, const at::Tensor& gradient,
                 const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq, const AdamWStep& options);

/// Sum of squares in double, the same for any number of threads. fp32 or bf16.
double sum_of_squares(const at::Tensor& x);
/// Of all `tensors` together, which are on one device; the host waits for a GPU once.
double sum_of_squares(std::span<const at::Tensor> tensors);

}  // namespace distill::ops
