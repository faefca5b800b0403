#include "train/adamw_slots.h"

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/ops/adamw.h>

namespace distill::train {

namespace {

// Names are part of the checkpoint format, do not change.
std::string steps_name(const HeldParameter& parameter) {
  return "step." + parameter.name;
}

}  // namespace

AdamWSlots::AdamWSlots(const AdamWOptions& options,
                       const std::vector<models::NamedParameter>& parameters)
    : options_(options) {
  for (const auto& parameter : parameters) slots_.push_back(make_slot(parameter));
}

AdamWSlots::Slot AdamWSlots::make_slot(const models::NamedParameter& parameter) {
  Slot slot{hold(parameter, "AdamW"), {}, {}};
  slot.exp_avg = at::zeros_like(slot.master);
  slot.exp_avg_sq = at::zeros_like(slot.master);
  slot.decays = parameter.tensor.dim() >= 2;
  return slot;
}

void AdamWSlots::step(const std::vector<at::Tensor>& gradients, double gradient_scale,
                      double lr_factor) {
  const c10::NoGradGuard no_grad;
  ops::AdamWStep update;
  update.lr = options_.lr * lr_factor;
  update.beta1 = options_.betas[0];
  update.beta2 = options_.betas[1];
  update.eps = options_.eps;
  update.gradient_scale = gradient_scale;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!gradients[i].defined()) continue;
    Slot& slot = slots_[i];
    // Its own count: an expert that is chosen late starts with the moments of a first update.
    update.step = ++slot.steps;
    update.weight_decay = slot.decays ? options_.weight_decay : 0.0;
    ops::adamw_step_(slot.master, slot.compute, gradients[i], slot.exp_avg, slot.exp_avg_sq,
                     update);
  }
}

void AdamWSlots::take_parameters() {
  for (Slot& slot : slots_) take_parameter(slot);
}

std::vector<io::NamedTensor> AdamWSlots::state() const {
  std::vector<io::NamedTensor> tensors = weights_and_moments();
  for (const auto& slot : slots_) {
    tensors.emplace_back(steps_name(slot), at::scalar_tensor(slot.steps, at::kLong));
  }
  return tensors;
}

void AdamWSlots::restore(const io::SafetensorsFile& file, std::int64_t all_steps) {
  std::vector<std::int64_t> steps;
  for (const auto& slot : slots_) steps.push_back(read_steps(file, slot, all_steps));
  const c10::NoGradGuard no_grad;
  for (const auto& [name, target] : weights_and_moments()) {
    target.copy_(file.tensor(*file.find(name)));
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    slot.steps = steps[i];
    if (slot.compute.defined()) slot.compute.copy_(slot.master);
  }
}

/// The tensors themselves, no copies.
std::vector<io::NamedTensor> AdamWSlots::weights_and_moments() const {
  std::vector<io::NamedTensor> tensors;
  for (const auto& slot : slots_) {
    tensors.emplace_back("master." + slot.name, slot.master);
    tensors.emplace_back("exp_avg." + slot.name, slot.exp_avg);
    tensors.emplace_back("exp_avg_sq." + slot.name, slot.exp_avg_sq);
  }
  return tensors;
}

std::int64_t AdamWSlots::read_steps(const io::SafetensorsFile& file, const Slot& slot,
                                    std::int64_t all_steps) {
  const std::string name = steps_name(slot);
  const auto steps = file.tensor(*file.find(name)).item<std::int64_t>();
  if (steps < 0 || steps > all_steps) {
    fail<FormatError>(file.path().string(), ": tensor `", name, "` is ", steps, ", expected 0 to ",
                      all_steps, ", the steps of all");
  }
  return steps;
}

}  // namespace distill::train
