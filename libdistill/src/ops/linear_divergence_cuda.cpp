#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/divergence_device.h"

namespace distill::ops {

DivergenceSums linear_divergence_cuda(const DivergenceProblem& problem) {
  const c10::cuda::CUDAGuard guard(problem.student.head.device());
  return linear_divergence_on_device(problem, cuda::divergence_kernels(),
                                     c10::cuda::getCurrentCUDAStream().stream());
}

}  // namespace distill::ops
