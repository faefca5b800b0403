#pragma once

#include <cstdint>
#include <vector>

#include <distill/train/options.h>

#include "train/held_parameter.h"

namespace distill::train {

/// The update of AdamW and its state: all of an optimizer, or what it does with parameters that are
/// not its own kind.
class AdamWSlots {
 public:
  /// Throws as `hold` does.
  AdamWSlots(const AdamWOptions& options, const std::vector<models::NamedParameter>& parameters);

  /// As Optimizer::step.
  void step(const std::vector<at::Tensor>& gradients, double gradient_scale, double lr_factor);
  void take_parameters();
  std::vector<io::NamedTensor> state() const;
  /// Of a file that holds `state()` (require_state), and perhaps more. Throws FormatError for
  /// counts that are not from 0 to `all_steps`, before anything is changed.
  void restore(const io::SafetensorsFile& file, std::int64_t all_steps);

 private:
  struct Slot : HeldParameter {
    at::Tensor exp_avg;
    at::Tensor exp_avg_sq;
    std::int64_t steps = 0;  ///< updates it took part in, for the bias correction
    bool decays = false;
  };

  static Slot make_slot(const models::NamedParameter& parameter);
  static std::int64_t read_steps(const io::SafetensorsFile& file, const Slot& slot,
                                 std::int64_t all_steps);
  std::vector<io::NamedTensor> weights_and_moments() const;

  AdamWOptions options_;
  std::vector<Slot> slots_;
};

}  // namespace distill::train
