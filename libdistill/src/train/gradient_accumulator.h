#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/dist/communicator.h>
#include <distill/models/causal_lm.h>

namespace distill::train {

/// The gradients of one optimizer step. With one micro-batch on one rank they stay where backward
/// left them; otherwise bf16 ones are moved into fp32 sums after every micro-batch, so that adding
/// rounds nothing away. fp32 parameters are summed in fp32 by backward itself.
class GradientAccumulator {
 public:
  /// `single_pass`: one micro-batch a step and one rank.
  GradientAccumulator(const std::vector<models::NamedParameter>& parameters, bool single_pass);

  /// Called after every backward pass.
  void collect();
  /// Adds up the gradients of all ranks; a parameter without one counts as zeros, unless no rank
  /// has one.
  void all_reduce(dist::Communicator& ranks);
  /// In the order of the parameters; undefined where there is none. Valid until `clear`.
  std::vector<at::Tensor> gradients() const;
  /// Global L2 norm.
  double norm() const;
  /// Forgets the step; frees what backward allocated.
  void clear();

 private:
  struct Slot {
    at::Tensor parameter;
    at::Tensor sum;       ///< fp32, kept between steps; used for bf16 parameters only
    bool in_sum = false;  ///< the gradient so far is in `sum`
  };
  std::vector<Slot> slots_;
  bool single_pass_;
};

}  // namespace distill::train
