#pragma once

#include <memory>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include <distill/core/registry.h>
#include <distill/ops/linear_divergence.h>
#include <distill/types/loss_value.h>
#include <distill/types/model_output.h>
#include <distill/types/teacher_signal.h>

namespace distill::losses {

/// Everything a loss may look at. It never sees a model.
struct LossInput {
  types::ModelOutput student;
  types::TeacherSignal teacher;
  at::Tensor labels;        ///< int64 [N], already shifted (types::Batch)
  at::Tensor mask;          ///< bool [N]; rows that count. Undefined: all
  at::Tensor weights = {};  ///< fp32 or fp64 [N], >= 0: factor of each row's loss. Undefined: 1
  /// Ids of the tokenizer: rows of the heads behind them are padding and take no part. 0: all rows.
  std::int64_t vocabulary = 0;
};

/// A distillation objective. Returns the sum over valid tokens and their number, never a mean. The
/// sum carries the weight of the loss's own options, its parts do not.
class Loss {
 public:
  virtual ~Loss() = default;
  /// The kind, as it appears in recipes and logs.
  virtual std::string name() const = 0;
  virtual bool needs_teacher() const = 0;
  virtual types::LossValue operator()(const LossInput& input) const = 0;
  /// How to form this loss inside the fused logit pass, if it can be, its weight included; weighted
  /// sums put all such terms into one pass over the heads.
  virtual std::optional<ops::LogitTerm> logit_term() const { return std::nullopt; }
};

using LossRegistry = core::Registry<Loss>;

}  // namespace distill::losses
