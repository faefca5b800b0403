// Teams of a GPU's threads, and how kernels are started for many of them. For .cu files.

#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace distill::ops::cuda {

inline constexpr int kWarp = 32;
inline constexpr int kThreads = 256;  ///< of a block
inline constexpr int kWarps = kThreads / kWarp;

template <class T>
__device__ T sum_of_warp(T x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(~0U, x, step);
  return x;
}

/// For short rows: 32 threads that need no barrier.
class WarpTeam {
 public:
  static constexpr int kInBlock = kWarps;
  __device__ static WarpTeam make() { return {}; }
  __device__ static std::int64_t place_in_block() { return threadIdx.x / kWarp; }
  __device__ std::int64_t thread() const { return threadIdx.x % kWarp; }
  __device__ std::int64_t size() const { return kWarp; }
  template <class T>
  __device__ T sum(T x) const {
    return sum_of_warp(x);
  }
};

class BlockTeam {
 public:
  static constexpr int kInBlock = 1;
  __device__ static BlockTeam make() {
    __shared__ double shared[kWarps];
    return BlockTeam(shared);
  }
  __device__ static std::int64_t place_in_block() { return 0; }
  __device__ std::int64_t thread() const { return threadIdx.x; }
  __device__ std::int64_t size() const { return kThreads; }
  template <class T>
  __device__ T sum(T x) const {
    x = sum_of_warp(x);
    __syncthreads();  // what was there has been read
    if (threadIdx.x % kWarp == 0) shared_[threadIdx.x / kWarp] = x;
    __syncthreads();
    double total = 0;
    for (int warp = 0; warp < kWarps; ++warp) total += shared_[warp];
    return static_cast<T>(total);
  }

 private:
  __device__ explicit BlockTeam(double* shared) : shared_(shared) {}
  double* shared_;
};

/// Runs body(team, index) for each index below `count`; the kernel was started by start_teams.
template <class Team, class Body>
__device__ void for_team(std::int64_t count, Body body) {
  const std::int64_t index =
      static_cast<std::int64_t>(blockIdx.x) * Team::kInBlock + Team::place_in_block();
  const Team team = Team::make();
  if (index < count) body(team, index);  // the same for all threads of a team
}

/// Starts the kernel for `count` teams; `shared` are bytes for each of them.
template <class Team, class... Args>
const char* start_teams(void (*kernel)(Args...), std::int64_t count, std::int64_t shared,
                        void* stream, const Args&... args) {
  constexpr std::int64_t kMostBlocks = (std::int64_t{1} << 31) - 1;
  if (count == 0) return nullptr;
  const std::int64_t blocks = (count + Team::kInBlock - 1) / Team::kInBlock;
  if (blocks > kMostBlocks) return "more rows than a grid has blocks";
  kernel<<<static_cast<unsigned>(blocks), kThreads,
           static_cast<std::size_t>(shared) * Team::kInBlock, static_cast<cudaStream_t>(stream)>>>(
      args...);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace distill::ops::cuda
