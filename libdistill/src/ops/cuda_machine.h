#pragma once

namespace distill::ops {

/// What the driver says to loading a kernel for the first GPU, which is there; null: it can be
/// started. Builds without CUDA have nothing to load.
const char* why_kernels_do_not_run();

}  // namespace distill::ops
