#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <distill/train/trainer.h>

#include "train/gradient_accumulator.h"

namespace distill::train {

/// Of one rank and one optimizer step.
std::int64_t num_micro_batches(const TrainerOptions& options, const dist::Communicator& ranks);

/// What one optimizer step computed before its update, summed over all ranks.
struct StepSums {
  bool abandoned = false;      ///< a stop was asked for; nothing may be used
  std::int64_t tokens = 0;     ///< input tokens
  std::int64_t targets = 0;    ///< tokens that count in the loss
  double data_seconds = 0;     ///< this rank waited for its batches
  double teacher_seconds = 0;  ///< and was with its teacher, which computes or is waited for
  double loss = 0;             ///< mean per target token; 0 when there is none
  std::vector<std::pair<std::string, double>> parts;  ///< the same for each term
};

/// Runs the micro-batches of one optimizer step and leaves the gradient of the mean loss per
/// target token of the whole step in the accumulator.
class GradientStep {
 public:
  GradientStep(const TrainerParts& parts, const TrainerOptions& options,
               GradientAccumulator& accumulator);

  /// `step` (0-based) decides what is dropped. `should_stop` is asked before every micro-batch, on
  /// all ranks alike. Throws ConfigError when batches do not have `micro_batch_size` rows.
  StepSums run(std::int64_t step, const std::function<bool()>& should_stop);

 private:
  struct Totals {
    at::Tensor loss;                ///< double scalar
    std::vector<at::Tensor> parts;  ///< double scalars in the order of part_names_
  };
  types::Batch next_batch();
  std::uint64_t dropout_seed(std::int64_t step, std::int64_t micro_batch) const;
  void ask_teacher(const types::Batch& batch, losses::LossInput& input);
  types::LossValue forward(const types::Batch& batch);
  bool forward_and_backward(const types::Batch& batch, std::int64_t targets, Totals& totals);
  void warn_once(const types::TeacherSignal& teacher);
  void add(Totals& totals, const types::LossValue& value);
  void add_scalar(at::Tensor& total, const at::Tensor& value) const;
  void reduce(const Totals& totals, StepSums& sums);

  const TrainerParts& parts_;
  std::uint64_t seed_;
  std::int64_t micro_batch_size_;
  std::int64_t num_micro_batches_;
  GradientAccumulator& accumulator_;
  at::Device device_;  ///< of the student
  losses::LayerNeeds needs_;
  std::vector<std::string> part_names_;  ///< empty until a loss was formed
  bool has_warned_ = false;
  double teacher_seconds_ = 0;  ///< of the step so far
};

}  // namespace distill::train
