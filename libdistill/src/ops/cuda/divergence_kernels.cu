#include <cuda_runtime.h>

#include "ops/cuda/divergence_rows.inl"

namespace distill::ops::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarp = 32;

/// The threads of a block share one row.
class CudaBlock {
 public:
  __device__ explicit CudaBlock(double* shared) : shared_(shared) {}
  __device__ std::int64_t thread() const { return threadIdx.x; }
  __device__ std::int64_t size() const { return blockDim.x; }
  __device__ void sync() const { __syncthreads(); }

  __device__ double sum(double x) const {
    for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(~0U, x, step);
    gather(x);
    double total = 0;
    for (int warp = 0; warp < kThreads / kWarp; ++warp) total += shared_[warp];
    return total;
  }
  template <class T>
  __device__ T max(T x) const {
    for (int step = kWarp / 2; step > 0; step /= 2) {
      x = larger(x, __shfl_xor_sync(~0U, x, step));
    }
    gather(static_cast<double>(x));
    double largest = shared_[0];
    for (int warp = 1; warp < kThreads / kWarp; ++warp) largest = larger(largest, shared_[warp]);
    return static_cast<T>(largest);
  }

 private:
  template <class T>
  __device__ static T larger(T a, T b) {
    return a > b ? a : b;
  }
  /// Each warp's result, for all to read.
  __device__ void gather(double x) const {
    __syncthreads();  // what was there has been read
    if (threadIdx.x % kWarp == 0) shared_[threadIdx.x / kWarp] = x;
    __syncthreads();
  }

  double* shared_;
};

/// Runs body(block, row) for the row of each block of threads.
template <class Body>
__device__ void for_row(Body body) {
  __shared__ double shared[kThreads / kWarp];
  CudaBlock block(shared);
  body(block, static_cast<std::int64_t>(blockIdx.x));
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    student_kernel(const __grid_constant__ Chunk<T> chunk, const __grid_constant__ Terms<T> terms) {
  for_row([&](CudaBlock& block, std::int64_t row) { student_row(block, chunk, terms, row); });
}
template <class T>
__global__ void __launch_bounds__(kThreads)
    teacher_kernel(const __grid_constant__ Chunk<T> chunk, const __grid_constant__ Terms<T> terms) {
  for_row([&](CudaBlock& block, std::int64_t row) { teacher_row(block, chunk, terms, row); });
}
template <class T>
__global__ void __launch_bounds__(kThreads)
    held_kernel(const __grid_constant__ Chunk<T> chunk, const __grid_constant__ Terms<T> terms) {
  for_row([&](CudaBlock& block, std::int64_t row) { sparse_row(block, chunk, terms, row); });
}
template <class T>
__global__ void __launch_bounds__(kThreads)
    threshold_kernel(const __grid_constant__ Chunk<T> chunk,
                     const __grid_constant__ Terms<T> terms) {
  for_row([&](CudaBlock& block, std::int64_t row) { threshold_row(block, chunk, terms, row); });
}
template <class T>
__global__ void __launch_bounds__(kThreads)
    reduce_kernel(const __grid_constant__ Chunk<T> chunk, const __grid_constant__ Terms<T> terms) {
  for_row([&](CudaBlock& block, std::int64_t row) { reduce_row(block, chunk, terms, row); });
}
template <class T>
__global__ void __launch_bounds__(kThreads)
    gradient_kernel(const __grid_constant__ Chunk<T> chunk, const __grid_constant__ Terms<T> terms,
                    const __grid_constant__ GradientOut<T> out) {
  for_row([&](CudaBlock& block, std::int64_t row) { gradient_row(block, chunk, terms, row, out); });
}

/// One block of threads for each row.
template <class T, class... Args>
const char* launch(void (*kernel)(Args...), void* stream, const Chunk<T>& chunk,
                   const Terms<T>& terms, const auto&... more) {
  const auto blocks = static_cast<unsigned>(chunk.rows);
  kernel<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(chunk, terms, more...);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <class T>
const char* launch_student(const Chunk<T>& chunk, const Terms<T>& terms, void* stream) {
  return launch(&student_kernel<T>, stream, chunk, terms);
}
template <class T>
const char* launch_teacher(const Chunk<T>& chunk, const Terms<T>& terms, void* stream) {
  return launch(&teacher_kernel<T>, stream, chunk, terms);
}
template <class T>
const char* launch_held(const Chunk<T>& chunk, const Terms<T>& terms, void* stream) {
  return launch(&held_kernel<T>, stream, chunk, terms);
}
template <class T>
const char* launch_threshold(const Chunk<T>& chunk, const Terms<T>& terms, void* stream) {
  return launch(&threshold_kernel<T>, stream, chunk, terms);
}
template <class T>
const char* launch_reduce(const Chunk<T>& chunk, const Terms<T>& terms, void* stream) {
  return launch(&reduce_kernel<T>, stream, chunk, terms);
}
template <class T>
const char* launch_gradient(const Chunk<T>& chunk, const Terms<T>& terms, const GradientOut<T>& out,
                            void* stream) {
  return launch(&gradient_kernel<T>, stream, chunk, terms, out);
}

template <class T>
constexpr Kernels<T> table_of() {
  return {&launch_student<T>,   &launch_teacher<T>, &launch_held<T>,
          &launch_threshold<T>, &launch_reduce<T>,  &launch_gradient<T>};
}

}  // namespace

const KernelTable& divergence_kernels() {
  static constexpr KernelTable kTable{table_of<float>(), table_of<double>()};
  return kTable;
}

}  // namespace distill::ops::cuda
