#include "train/gradient_accumulator.h"

#include <cmath>
#include <cstdint>
#include <span>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <distill/ops/adamw.h>

namespace distill::train {

GradientAccumulator::GradientAccumulator(const std::vector<models::NamedParameter>& parameters,
                                         bool single_pass)
    : single_pass_(single_pass) {
  for (const auto& parameter : parameters) slots_.push_back({parameter.tensor, {}, false});
}

void GradientAccumulator::collect() {
  if (single_pass_) return;
  const c10::NoGradGuard no_grad;
  for (auto& slot : slots_) {
    at::Tensor& gradient = slot.parameter.mutable_grad();
    if (!gradient.defined() || gradient.scalar_type() == at::kFloat) continue;
    if (!slot.sum.defined()) {
      slot.sum = at::empty_like(slot.parameter, at::TensorOptions(at::kFloat));
    }
    if (slot.in_sum) {
      slot.sum.add_(gradient);
    } else {
      slot.sum.copy_(gradient);
    }
    slot.in_sum = true;
    gradient.reset();
  }
}

void GradientAccumulator::all_reduce(dist::Communicator& ranks) {
  if (ranks.size() == 1) return;
  const c10::NoGradGuard no_grad;
  // A parameter that no rank used, such as an expert without tokens, stays without a gradient, as
  // it does on one rank.
  std::vector<std::int64_t> used;
  for (const auto& slot : slots_) {
    used.push_back(slot.in_sum || slot.parameter.grad().defined() ? 1 : 0);
  }
  ranks.all_reduce_sum(std::span<std::int64_t>(used));
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (used[i] == 0) continue;
    at::Tensor gradient = slot.in_sum ? slot.sum : slot.parameter.grad();
    if (!gradient.defined()) {
      gradient = at::zeros_like(slot.parameter, at::TensorOptions(at::kFloat));
      slot.sum = gradient;
      slot.in_sum = true;
    }
    ranks.all_reduce_sum(gradient);
  }
}

std::vector<at::Tensor> GradientAccumulator::gradients() const {
  std::vector<at::Tensor> result;
  for (const auto& slot : slots_) {
    result.push_back(slot.in_sum ? slot.sum : slot.parameter.grad());
  }
  return result;
}

double GradientAccumulator::norm() const {
  std::vector<at::Tensor> formed = gradients();
  std::erase_if(formed, [](const at::Tensor& gradient) { return !gradient.defined(); });
  return std::sqrt(ops::sum_of_squares(formed));
}

void GradientAccumulator::clear() {
  for (auto& slot : slots_) {
    slot.parameter.mutable_grad().reset();
    slot.in_sum = false;
  }
}

}  // namespace distill::train
