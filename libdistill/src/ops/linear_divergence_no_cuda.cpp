#include "ops/linear_divergence_problem.h"

// For builds without CUDA.
namespace distill::ops {

DivergenceSums linear_divergence_cuda(const DivergenceProblem& problem) {
  TORCH_CHECK(false, "linear_divergence: tensors are on ", problem.student.head.device(),
              " and this build of libdistill has no CUDA; move them to the CPU, or build with "
              "-DDISTILL_CUDA=ON and a LibTorch that has CUDA");
}

}  // namespace distill::ops
