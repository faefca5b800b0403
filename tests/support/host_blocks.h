#pragma once

#include <barrier>
#include <cstdint>
#include <thread>
#include <vector>

#include "ops/cuda/divergence_rows.inl"

/// The passes that are written for a GPU's blocks of threads, run by threads of the CPU.
namespace distill::testing {

/// What the threads of a block share.
struct HostBlockState {
  explicit HostBlockState(std::int64_t threads)
      : barrier(static_cast<std::ptrdiff_t>(threads)), parts(static_cast<std::size_t>(threads)) {}
  std::barrier<> barrier;
  std::vector<double> parts;
};

class HostBlock {
 public:
  HostBlock(HostBlockState& state, std::int64_t thread) : state_(state), thread_(thread) {}
  std::int64_t thread() const { return thread_; }
  std::int64_t size() const { return static_cast<std::int64_t>(state_.parts.size()); }
  void sync() const { state_.barrier.arrive_and_wait(); }

  double sum(double x) const {
    double total = 0;
    gather(x, [&](double part) { total += part; });
    return total;
  }
  template <class T>
  T max(T x) const {
    double largest = static_cast<double>(x);
    gather(largest, [&](double part) { largest = part > largest ? part : largest; });
    return static_cast<T>(largest);
  }

 private:
  template <class Each>
  void gather(double x, Each each) const {
    state_.parts[static_cast<std::size_t>(thread_)] = x;
    sync();
    for (const double part : state_.parts) each(part);
    sync();
  }

  HostBlockState& state_;
  std::int64_t thread_;
};

/// Threads of the blocks that work one row each.
template <int Threads>
struct HostKernels {
  template <class Body>
  static const char* for_rows(std::int64_t rows, Body body) {
    HostBlockState state(Threads);
    const auto work = [&](std::int64_t thread) {
      HostBlock block(state, thread);
      for (std::int64_t row = 0; row < rows; ++row) {
        body(block, row);
        block.sync();
      }
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < Threads; ++thread) others.emplace_back(work, thread);
    work(0);
    for (std::thread& other : others) other.join();
    return nullptr;
  }

  template <class T>
  static constexpr ops::cuda::Kernels<T> of() {
    using ops::cuda::Chunk;
    using ops::cuda::Terms;
    return {
        [](const Chunk<T>& chunk, const Terms<T>& terms, void*) {
          return for_rows(chunk.rows, [&](HostBlock& block, std::int64_t row) {
            ops::cuda::student_row(block, chunk, terms, row);
          });
        },
        [](const Chunk<T>& chunk, const Terms<T>& terms, void*) {
          return for_rows(chunk.rows, [&](HostBlock& block, std::int64_t row) {
            ops::cuda::teacher_row(block, chunk, terms, row);
          });
        },
        [](const Chunk<T>& chunk, const Terms<T>& terms, void*) {
          return for_rows(chunk.rows, [&](HostBlock& block, std::int64_t row) {
            ops::cuda::sparse_row(block, chunk, terms, row);
          });
        },
        [](const Chunk<T>& chunk, const Terms<T>& terms, void*) {
          return for_rows(chunk.rows, [&](HostBlock& block, std::int64_t row) {
            ops::cuda::threshold_row(block, chunk, terms, row);
          });
        },
        [](const Chunk<T>& chunk, const Terms<T>& terms, void*) {
          return for_rows(chunk.rows, [&](HostBlock& block, std::int64_t row) {
            ops::cuda::reduce_row(block, chunk, terms, row);
          });
        },
        [](const Chunk<T>& chunk, const Terms<T>& terms, const ops::cuda::GradientOut<T>& out,
           void*) {
          return for_rows(chunk.rows, [&](HostBlock& block, std::int64_t row) {
            ops::cuda::gradient_row(block, chunk, terms, row, out);
          });
        },
    };
  }

  static constexpr ops::cuda::KernelTable kTable{of<float>(), of<double>()};
};

}  // namespace distill::testing
