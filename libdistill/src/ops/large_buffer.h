#pragma once

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// Uninitialised memory, in huge pages where the system has them: touching hundreds of MiB for the
/// first time in small ones takes a tenth of a fused loss.
at::Tensor large_buffer(at::IntArrayRef sizes, at::ScalarType type);

}  // namespace distill::ops
