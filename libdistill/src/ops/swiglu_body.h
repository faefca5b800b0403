#pragma once

#include <ATen/core/Tensor.h>

#include "ops/device_queue.h"

/// What ops::swiglu is made of, on the CPU and, with a queue, on its device. gate and up are
/// [rows, I] with dense rows.
namespace distill::ops {

/// Returns the products as `shape`.
at::Tensor swiglu_forward(const at::Tensor& gate, const at::Tensor& up, at::IntArrayRef shape,
                          const MaybeQueue& queue);

struct SwigluGradients {
  at::Tensor gate, up;
};
struct SwigluWanted {
  bool gate = true, up = true;
};
/// `grad` is contiguous; the gradients have its shape, those not wanted are undefined.
SwigluGradients swiglu_backward(const at::Tensor& gate, const at::Tensor& up,
                                const at::Tensor& grad, SwigluWanted wanted,
                                const MaybeQueue& queue);

}  // namespace distill::ops
