#include <set>

#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/ops/adamw.h>
#include <distill/train/builtins.h>

namespace distill::train {

namespace {

/// One parameter with its state. For an fp32 parameter `master` is the parameter itself.
struct Slot {
  std::string name;
  at::Tensor master;
  at::Tensor compute;  ///< the bf16 parameter; undefined for fp32
  at::Tensor exp_avg;
  at::Tensor exp_avg_sq;
  std::int64_t steps = 0;  ///< updates it took part in, for the bias correction
  bool decays = false;
};

// Names are part of the checkpoint format, do not change.
std::string steps_name(const Slot& slot) {
  return "step." + slot.name;
}

Slot make_slot(const models::NamedParameter& parameter) {
  const at::Tensor& tensor = parameter.tensor;
  const auto dtype = tensor.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16) {
    fail<UnsupportedError>("parameter `", parameter.name, "` is ", dtype,
                           "; AdamW trains float32 and bfloat16 parameters");
  }
  if (!tensor.is_contiguous()) {
    fail<UnsupportedError>("parameter `", parameter.name, "` is not contiguous in memory");
  }
  Slot slot;
  slot.name = parameter.name;
  if (dtype == at::kFloat) {
    slot.master = tensor.detach();
  } else {
    slot.compute = tensor.detach();
    slot.master = slot.compute.to(at::kFloat);
  }
  slot.exp_avg = at::zeros_like(slot.master);
  slot.exp_avg_sq = at::zeros_like(slot.master);
  slot.decays = tensor.dim() >= 2;
  return slot;
}

class AdamW final : public Optimizer {
 public:
  AdamW(const AdamWOptions& options, const std::vector<models::NamedParameter>& parameters)
      : options_(options) {
    std::set<std::string> names;
    for (const auto& parameter : parameters) {
      if (!names.insert(parameter.name).second) {
        fail<ConfigError>("parameter `", parameter.name, "` is given to the optimizer twice");
      }
      slots_.push_back(make_slot(parameter));
    }
  }

  void step(const std::vector<at::Tensor>& gradients, double gradient_scale,
            double lr_factor) override {
    if (gradients.size() != slots_.size()) {
      fail<Error>("AdamW was given ", gradients.size(), " gradients for ", slots_.size(),
                  " parameters");
    }
    const c10::NoGradGuard no_grad;
    ++steps_;
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

  std::int64_t steps() const override { return steps_; }
  double peak_lr() const override { return options_.lr; }

  std::vector<io::NamedTensor> state() const override {
    std::vector<io::NamedTensor> tensors = weights_and_moments();
    for (const auto& slot : slots_) {
      tensors.emplace_back(steps_name(slot), at::scalar_tensor(slot.steps, at::kLong));
    }
    return tensors;
  }

  void restore(const io::SafetensorsFile& file, std::int64_t steps) override {
    check(file, state());  // all of it before anything is changed
    std::vector<std::int64_t> slot_steps;
    for (const auto& slot : slots_) slot_steps.push_back(read_steps(file, slot, steps));
    const c10::NoGradGuard no_grad;
    for (const auto& [name, target] : weights_and_moments()) {
      target.copy_(file.tensor(*file.find(name)));
    }
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      Slot& slot = slots_[i];
      slot.steps = slot_steps[i];
      if (slot.compute.defined()) slot.compute.copy_(slot.master);
    }
    steps_ = steps;
  }

 private:
  /// The tensors themselves, no copies.
  std::vector<io::NamedTensor> weights_and_moments() const {
    std::vector<io::NamedTensor> tensors;
    for (const auto& slot : slots_) {
      tensors.emplace_back("master." + slot.name, slot.master);
      tensors.emplace_back("exp_avg." + slot.name, slot.exp_avg);
      tensors.emplace_back("exp_avg_sq." + slot.name, slot.exp_avg_sq);
    }
    return tensors;
  }

  static std::int64_t read_steps(const io::SafetensorsFile& file, const Slot& slot,
                                 std::int64_t all_steps) {
    const std::string name = steps_name(slot);
    const auto steps = file.tensor(*file.find(name)).item<std::int64_t>();
    if (steps < 0 || steps > all_steps) {
      fail<FormatError>(file.path().string(), ": tensor `", name, "` is ", steps,
                        ", expected 0 to ", all_steps, ", the steps of all");
    }
    return steps;
  }

  static void check(const io::SafetensorsFile& file, const std::vector<io::NamedTensor>& targets) {
    const std::string where = file.path().string();
    std::set<std::string> known;
    for (const auto& [name, target] : targets) {
      known.insert(name);
      const io::TensorEntry* entry = file.find(name);
      if (entry == nullptr) fail<FormatError>(where, ": tensor `", name, "` is missing");
      if (entry->dtype != target.scalar_type()) {
        fail<FormatError>(where, ": tensor `", name, "` is ", entry->dtype, ", expected ",
                          target.scalar_type());
      }
      if (target.sizes() != at::IntArrayRef(entry->shape)) {
        fail<FormatError>(where, ": tensor `", name, "` has shape ", at::IntArrayRef(entry->shape),
                          ", expected ", target.sizes());
      }
    }
    for (const auto& entry : file.entries()) {
      if (!known.contains(entry.name)) {
        fail<FormatError>(where, ": tensor `", core::printable(entry.name, 200),
                          "` belongs to no trained parameter; was it written by another run?");
      }
    }
  }

  AdamWOptions options_;
  std::vector<Slot> slots_;
  std::int64_t steps_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(const AdamWOptions& options,
                                      const std::vector<models::NamedParameter>& parameters) {
  core::Problems problems;
  validate(options, problems);
  if (!problems.items().empty()) {
    const auto& first = problems.items().front();
    fail<ConfigError>("adamw: `", first.field, "` ", first.message);
  }
  return std::make_unique<AdamW>(options, parameters);
}

}  // namespace distill::train
