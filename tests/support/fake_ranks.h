#pragma once

#include <barrier>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <ATen/TensorOperators.h>

#include <distill/dist/communicator.h>

namespace distill::testing {

/// Ranks as threads of this process that meet at every collective. Sums are formed in rank order,
/// so results do not depend on who comes first.
class FakeRanks {
 public:
  explicit FakeRanks(std::int64_t size)
      : size_(size), meet_(size), doubles_(slots()), integers_(slots()) {}

  /// Runs `body(communicator)` once for every rank and waits for all. A body must not leave (by an
  /// exception either) while another is inside a collective.
  void run(const std::function<void(dist::Communicator&)>& body) {
    std::vector<std::thread> threads;
    for (std::int64_t rank = 0; rank < size_; ++rank) {
      threads.emplace_back([this, rank, &body] {
        Rank communicator(*this, rank);
        body(communicator);
      });
    }
    for (auto& thread : threads) thread.join();
  }

 private:
  class Rank : public dist::Communicator {
   public:
    Rank(FakeRanks& all, std::int64_t rank) : all_(all), rank_(rank) {}
    std::int64_t rank() const override { return rank_; }
    std::int64_t size() const override { return all_.size_; }
    void all_reduce_sum(std::span<std::int64_t> values) override {
      all_.sum(all_.integers_, rank_, values);
    }
    void all_reduce_sum(std::span<double> values) override {
      all_.sum(all_.doubles_, rank_, values);
    }
    void all_reduce_sum(at::Tensor& tensor) override {
      const at::Tensor wide = tensor.detach().to(at::kDouble).cpu().contiguous();
      std::vector<double> values(wide.data_ptr<double>(), wide.data_ptr<double>() + wide.numel());
      all_reduce_sum(std::span<double>(values));
      std::copy(values.begin(), values.end(), wide.data_ptr<double>());
      tensor.copy_(wide.view(tensor.sizes()));
    }
    bool any(bool value) override {
      std::int64_t count = value ? 1 : 0;
      all_reduce_sum(std::span<std::int64_t>(&count, 1));
      return count > 0;
    }
    void barrier() override { all_.meet_.arrive_and_wait(); }

   private:
    FakeRanks& all_;
    std::int64_t rank_;
  };

  std::size_t slots() const { return static_cast<std::size_t>(size_); }

  template <class T>
  void sum(std::vector<std::vector<T>>& slots, std::int64_t rank, std::span<T> values) {
    slots[static_cast<std::size_t>(rank)].assign(values.begin(), values.end());
    meet_.arrive_and_wait();
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = T{};
      for (const auto& slot : slots) values[i] += slot.at(i);
    }
    meet_.arrive_and_wait();
  }

  std::int64_t size_;
  std::barrier<> meet_;
  std::vector<std::vector<double>> doubles_;
  std::vector<std::vector<std::int64_t>> integers_;
};

}  // namespace distill::testing
