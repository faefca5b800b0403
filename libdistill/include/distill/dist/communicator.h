#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <ATen/core/Tensor.h>

namespace distill::dist {

/// The ranks of a run and what they do together. Code asks this object, never an environment
/// variable or a macro.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual std::int64_t rank() const = 0;
  virtual std::int64_t size() const = 0;
  bool is_main() const { return rank() == 0; }

  /// Sums in place over all ranks.
  virtual void all_reduce_sum(std::span<std::int64_t> values) = 0;
  virtual void all_reduce_sum(std::span<double> values) = 0;
  virtual void all_reduce_sum(at::Tensor& tensor) = 0;
  /// True when it is true on any rank.
  virtual bool any(bool value) = 0;
  virtual void barrier() = 0;
};

/// One process: every collective is the identity.
std::unique_ptr<Communicator> make_single();

}  // namespace distill::dist
