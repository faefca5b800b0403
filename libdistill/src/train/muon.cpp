#include <algorithm>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/ops/orthogonalize.h>
#include <distill/train/builtins.h>

#include "train/adamw_slots.h"
#include "train/require_valid.h"

namespace distill::train {

namespace {

/// A matrix and the running mean of its gradient.
struct Slot : HeldParameter {
  at::Tensor momentum;
};

/// Brings an update's root mean square to that of AdamW's, 0.2 (Liu et al. 2025, section 2.2).
double update_scale(const at::Tensor& matrix) {
  return 0.2 * std::sqrt(static_cast<double>(std::max(matrix.size(0), matrix.size(1))));
}

class Muon final : public Optimizer {
 public:
  Muon(const MuonOptions& options, const std::vector<models::NamedParameter>& parameters)
      : options_(options), others_(adamw_options(options), others(options, parameters)) {
    require_distinct(parameters);
    for (const auto& parameter : parameters) {
      is_matrix_.push_back(is_own(options, parameter));
      if (!is_matrix_.back()) continue;
      Slot slot{hold(parameter, "Muon"), {}};
      slot.momentum = at::zeros_like(slot.master);
      matrices_.push_back(std::move(slot));
    }
  }

  void step(const std::vector<at::Tensor>& gradients, double gradient_scale,
            double lr_factor) override {
    if (gradients.size() != is_matrix_.size()) {
      fail<Error>("Muon was given ", gradients.size(), " gradients for ", is_matrix_.size(),
                  " parameters");
    }
    const c10::NoGradGuard no_grad;
    std::vector<at::Tensor> of_others;
    auto slot = matrices_.begin();
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!is_matrix_[i]) {
        of_others.push_back(gradients[i]);
        continue;
      }
      if (gradients[i].defined()) update(*slot, gradients[i], gradient_scale, lr_factor);
      ++slot;
    }
    others_.step(of_others, gradient_scale, lr_factor);
    ++steps_;
  }

  void take_parameters() override {
    for (Slot& slot : matrices_) take_parameter(slot);
    others_.take_parameters();
  }

  std::int64_t steps() const override { return steps_; }
  double peak_lr() const override { return options_.lr; }

  std::vector<io::NamedTensor> state() const override {
    std::vector<io::NamedTensor> tensors = own_state();
    for (auto& tensor : others_.state()) tensors.push_back(std::move(tensor));
    return tensors;
  }

  void restore(const io::SafetensorsFile& file, std::int64_t steps) override {
    require_state(file, state());  // all of it before anything is changed
    others_.restore(file, steps);
    const c10::NoGradGuard no_grad;
    for (const auto& [name, target] : own_state()) target.copy_(file.tensor(*file.find(name)));
    for (auto& slot : matrices_) {
      if (slot.compute.defined()) slot.compute.copy_(slot.master);
    }
    steps_ = steps;
  }

 private:
  static AdamWOptions adamw_options(const MuonOptions& options) {
    return {.lr = options.lr * options.adamw_lr_ratio,
            .betas = options.betas,
            .eps = options.eps,
            .weight_decay = options.weight_decay};
  }

  static bool is_own(const MuonOptions& options, const models::NamedParameter& parameter) {
    return orthogonalizes(options, parameter.name, parameter.tensor.sizes().size());
  }

  static std::vector<models::NamedParameter> others(
      const MuonOptions& options, const std::vector<models::NamedParameter>& parameters) {
    std::vector<models::NamedParameter> chosen;
    for (const auto& parameter : parameters) {
      if (!is_own(options, parameter)) chosen.push_back(parameter);
    }
    return chosen;
  }

  void update(Slot& slot, const at::Tensor& gradient, double scale, double lr_factor) const {
    const at::Tensor scaled = gradient.to(at::kFloat) * scale;
    slot.momentum.lerp_(scaled, 1 - options_.momentum);
    const at::Tensor direction =
        options_.nesterov ? scaled.lerp(slot.momentum, options_.momentum) : slot.momentum;
    const at::Tensor unit = ops::orthogonalized(direction, options_.iterations);
    const double lr = options_.lr * lr_factor;
    slot.master.mul_(1 - lr * options_.weight_decay)
        .add_(unit.to(at::kFloat), -lr * update_scale(slot.master));
    if (slot.compute.defined()) slot.compute.copy_(slot.master);
  }

  /// The tensors themselves, no copies. Names are part of the checkpoint format, do not change.
  std::vector<io::NamedTensor> own_state() const {
    std::vector<io::NamedTensor> tensors;
    for (const auto& slot : matrices_) {
      tensors.emplace_back("master." + slot.name, slot.master);
      tensors.emplace_back("momentum." + slot.name, slot.momentum);
    }
    return tensors;
  }

  MuonOptions options_;
  AdamWSlots others_;  ///< what is no matrix inside a layer
  std::vector<Slot> matrices_;
  std::vector<bool> is_matrix_;  ///< of each parameter, in the order of the gradients
  std::int64_t steps_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> make_muon(const MuonOptions& options,
                                     const std::vector<models::NamedParameter>& parameters) {
  require_valid("muon", options);
  return std::make_unique<Muon>(options, parameters);
}

}  // namespace distill::train
