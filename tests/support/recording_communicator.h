#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/dist/communicator.h>

namespace distill::testing {

/// Pretends to be one of `size` ranks: sums are multiplied by `multiplier`, as if that many ranks
/// held the same values. Every call is recorded by name, with what was reduced.
class RecordingCommunicator final : public dist::Communicator {
 public:
  std::int64_t own_rank = 0;
  std::int64_t num_ranks = 1;
  std::int64_t multiplier = 1;
  bool others_say = false;  ///< what another rank answers in `any`
  std::vector<std::string>
      calls;  ///< `sum_int 2`, `sum_double 3`, `sum_tensor 64`, `any`, `barrier`

  std::int64_t rank() const override { return own_rank; }
  std::int64_t size() const override { return num_ranks; }

  void all_reduce_sum(std::span<std::int64_t> values) override {
    calls.push_back("sum_int " + std::to_string(values.size()));
    for (auto& value : values) value *= multiplier;
  }
  void all_reduce_sum(std::span<double> values) override {
    calls.push_back("sum_double " + std::to_string(values.size()));
    for (auto& value : values) value *= static_cast<double>(multiplier);
  }
  void all_reduce_sum(at::Tensor& tensor) override {
    calls.push_back("sum_tensor " + std::to_string(tensor.numel()));
    tensor.mul_(multiplier);
  }
  bool any(bool value) override {
    calls.emplace_back("any");
    return value || others_say;
  }
  void barrier() override { calls.emplace_back("barrier"); }
};

}  // namespace distill::testing
