#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <distill/core/registry.h>
#include <distill/io/safetensors.h>
#include <distill/models/causal_lm.h>

namespace distill::train {

/// Updates parameters from gradients. Keeps fp32 master weights when the parameters are bf16.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// `gradients` in the order of the parameters given at construction (fp32 or bf16); undefined
  /// ones are skipped, and count as no step of their parameter. `gradient_scale` multiplies them
  /// first; `lr_factor` multiplies the peak rate.
  virtual void step(const std::vector<at::Tensor>& gradients, double gradient_scale,
                    double lr_factor) = 0;
  /// Parameters were written to by somebody else since construction: masters become what they are.
  virtual void take_parameters() = 0;
  /// Updates done so far.
  virtual std::int64_t steps() const = 0;
  /// The rate at factor 1.
  virtual double peak_lr() const = 0;
  /// All state, fp32 masters and counts of steps included, by name; restoring it continues bit for
  /// bit.
  virtual std::vector<io::NamedTensor> state() const = 0;
  /// Throws FormatError when names or shapes differ.
  virtual void restore(const io::SafetensorsFile& state, std::int64_t steps) = 0;
};

using OptimizerRegistry = core::Registry<Optimizer, const std::vector<models::NamedParameter>&>;

}  // namespace distill::train
