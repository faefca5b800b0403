#pragma once

#include <barrier>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/dist/communicator.h>

namespace distill::testing {

/// Ranks as threads of one process. Sums are taken in the order of the ranks, so that all get the
/// same bits.
class ThreadGroup {
 public:
  explicit ThreadGroup(std::int64_t size)
      : size_(size), barrier_(size), slots_(static_cast<std::size_t>(size)) {}

  class Rank final : public dist::Communicator {
   public:
    Rank(ThreadGroup& group, std::int64_t rank) : group_(group), rank_(rank) {}
    std::int64_t rank() const override { return rank_; }
    std::int64_t size() const override { return group_.size_; }
    void all_reduce_sum(std::span<std::int64_t> values) override { sum_values(values); }
    void all_reduce_sum(std::span<double> values) override { sum_values(values); }
    void all_reduce_sum(at::Tensor& tensor) override {
      at::Tensor own = tensor.clone();
      own_slot() = &own;
      group_.barrier_.arrive_and_wait();
      tensor.zero_();
      for (const void* slot : group_.slots_) tensor.add_(*static_cast<const at::Tensor*>(slot));
      group_.barrier_.arrive_and_wait();
    }
    bool any(bool value) override {
      std::int64_t count = value ? 1 : 0;
      sum_values(std::span(&count, 1));
      return count > 0;
    }
    void barrier() override { group_.barrier_.arrive_and_wait(); }

   private:
    template <class T>
    void sum_values(std::span<T> values) {
      const std::vector<T> own(values.begin(), values.end());
      own_slot() = &own;
      group_.barrier_.arrive_and_wait();
      std::fill(values.begin(), values.end(), T{0});
      for (const void* slot : group_.slots_) {
        const auto& other = *static_cast<const std::vector<T>*>(slot);
        for (std::size_t i = 0; i < values.size(); ++i) values[i] += other.at(i);
      }
      group_.barrier_.arrive_and_wait();
    }
    const void*& own_slot() { return group_.slots_[static_cast<std::size_t>(rank_)]; }

    ThreadGroup& group_;
    std::int64_t rank_;
  };

  /// Runs `work` once for each rank, at the same time. `work` must not throw.
  void run(const std::function<void(dist::Communicator&)>& work) {
    std::vector<std::thread> threads;
    for (std::int64_t rank = 0; rank < size_; ++rank) {
      threads.emplace_back([this, rank, &work] {
        Rank communicator(*this, rank);
        work(communicator);
      });
    }
    for (auto& thread : threads) thread.join();
  }

 private:
  std::int64_t size_;
  std::barrier<> barrier_;
  std::vector<const void*> slots_;
};

}  // namespace distill::testing
