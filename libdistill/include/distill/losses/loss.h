#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <distill/core/registry.h>
#include <distill/ops/linear_divergence.h>
#include <distill/types/layer_states.h>
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
  types::LayerStates teacher_layers = {};   ///< the student's are in `student.layers`
  std::vector<std::int64_t> segments = {};  ///< of types::ModelInput, for attention maps
};

/// What a loss wants of the inner layers of both models in each call.
struct LayerNeeds {
  types::LayerRequest student;
  types::LayerRequest teacher;
  bool empty() const { return student.empty() && teacher.empty(); }
};

/// What is known of both models before the first call.
struct LossContext {
  types::LayerShape student;
  std::optional<types::LayerShape> teacher;  ///< nothing: it shows no inner layers
  std::string student_name = "the student";  ///< for messages
  std::string teacher_name = "the teacher";
  std::uint64_t seed = 0;    ///< of the run; decides the first values of a loss's own parameters
  std::uint64_t stream = 0;  ///< keeps several losses of one run apart
  at::Device device = at::kCPU;  ///< where a loss's own parameters lie: the student's
};

/// A parameter that a loss trains beside the student, fp32; it is no part of the student.
struct LossParameter {
  std::string name;
  at::Tensor tensor;
};

/// A distillation objective. Returns the sum over valid tokens and their number, never a mean. The
/// sum carries the weight of the loss's own options, its parts do not.
class Loss {
 public:
  virtual ~Loss() = default;
  /// The kind, as it appears in recipes and logs.
  virtual std::string name() const = 0;
  virtual bool needs_teacher() const = 0;
  /// It compares texts and not ids: its teacher may have another tokenizer, and answers with
  /// types::AlignedChunks.
  virtual bool across_tokenizers() const { return false; }
  /// Throws ConfigError when the loss cannot compare these models. Allocates nothing.
  virtual void check(const LossContext&) const {}
  /// Called once before `needs`, `parameters` and the first call: a loss over inner layers settles
  /// which ones and makes its parameters. Throws as `check` does.
  virtual void prepare(const LossContext& context) { check(context); }
  /// What each input must hold of the inner layers.
  virtual LayerNeeds needs() const { return {}; }
  /// What is trained beside the student, by names that differ within the loss. The same seed gives
  /// the same values.
  virtual std::vector<LossParameter> parameters() const { return {}; }
  virtual types::LossValue operator()(const LossInput& input) const = 0;
  /// What is only approximate with such a teacher, a line each; a trainer logs them once.
  virtual std::vector<std::string> warnings(const types::TeacherSignal&) const { return {}; }
  /// How to form this loss inside the fused logit pass, if it can be, its weight included; weighted
  /// sums put all such terms into one pass over the heads.
  virtual std::optional<ops::LogitTerm> logit_term() const { return std::nullopt; }
};

using LossRegistry = core::Registry<Loss>;

}  // namespace distill::losses
