#include <distill/core/error.h>
#include <distill/train/builtins.h>

#include "train/adamw_slots.h"
#include "train/require_valid.h"

namespace distill::train {

namespace {

class AdamW final : public Optimizer {
 public:
  AdamW(const AdamWOptions& options, const std::vector<models::NamedParameter>& parameters)
      : peak_lr_(options.lr), count_(parameters.size()), slots_(options, parameters) {
    require_distinct(parameters);
  }

  void step(const std::vector<at::Tensor>& gradients, double gradient_scale,
            double lr_factor) override {
    if (gradients.size() != count_) {
      fail<Error>("AdamW was given ", gradients.size(), " gradients for ", count_, " parameters");
    }
    ++steps_;
    slots_.step(gradients, gradient_scale, lr_factor);
  }

  void take_parameters() override { slots_.take_parameters(); }
  std::int64_t steps() const override { return steps_; }
  double peak_lr() const override { return peak_lr_; }
  std::vector<io::NamedTensor> state() const override { return slots_.state(); }

  void restore(const io::SafetensorsFile& file, std::int64_t steps) override {
    require_state(file, state());  // all of it before anything is changed
    slots_.restore(file, steps);
    steps_ = steps;
  }

 private:
  double peak_lr_;
  std::size_t count_;
  AdamWSlots slots_;
  std::int64_t steps_ = 0;
};

}  // namespace

std::unique_ptr<Optimizer> make_adamw(const AdamWOptions& options,
                                      const std::vector<models::NamedParameter>& parameters) {
  require_valid("adamw", options);
  return std::make_unique<AdamW>(options, parameters);
}

}  // namespace distill::train
