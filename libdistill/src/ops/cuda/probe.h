#pragma once

namespace distill::ops::cuda {

/// Whether this build's kernels have code for the GPU that is current: null, or what the driver
/// says.
const char* probe();

}  // namespace distill::ops::cuda
