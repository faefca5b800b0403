// Members of HiddenLoss; included by the file of each kind, which defines `distances` and
// instantiates the class.

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>

#include <distill/losses/hidden_loss.h>

#include "losses/layer_loss.h"
#include "losses/options.h"

namespace distill::losses {

template <class Options>
void describe_hidden(core::FieldVisitor& visit, Options& options) {
  visit("weight", options.weight, "factor of this loss in the total");
  visit("layers", options.layers,
        "which layers are compared; empty: all of the smaller model, evenly spaced, last to last");
  visit("project", options.project,
        "learn a linear map from the student's width to the teacher's; needed where they differ");
}

template <class Options>
HiddenLoss<Options>::HiddenLoss(const Options& options)
    : options_(checked(options, Options::kKind)) {}

template <class Options>
void HiddenLoss<Options>::check(const LossContext& context) const {
  resolve_pairs(Options::kKind, options_.layers, context);
  if (!options_.project) check_widths(Options::kKind, context);
}

template <class Options>
void HiddenLoss<Options>::prepare(const LossContext& context) {
  check(context);
  pairs_ = resolve_pairs(Options::kKind, options_.layers, context);
  if (options_.project) projection_ = make_projection(context);
}

template <class Options>
LayerNeeds HiddenLoss<Options>::needs() const {
  LayerNeeds needs;
  for (const LayerPair& pair : pairs_) {
    needs.student.hidden.push_back(pair.student);
    needs.teacher.hidden.push_back(pair.teacher);
  }
  return needs;
}

template <class Options>
std::vector<LossParameter> HiddenLoss<Options>::parameters() const {
  if (!projection_.defined()) return {};
  return {{"projection", projection_}};
}

template <class Options>
types::LossValue HiddenLoss<Options>::operator()(const LossInput& input) const {
  require_prepared(Options::kKind, pairs_);
  at::Tensor total;
  std::int64_t count = 0;
  for (const LayerPair& pair : pairs_) {
    const auto& student =
        layer_of(input.student.layers.hidden, pair.student, Options::kKind, "student");
    const auto& teacher =
        layer_of(input.teacher_layers.hidden, pair.teacher, Options::kKind, "teacher");
    const auto type = student.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    at::Tensor y = valid_rows(student, input.mask).to(type);
    if (projection_.defined()) y = at::linear(y, projection_.to(type));
    const at::Tensor t = valid_rows(teacher.detach(), input.mask).to(type);
    at::Tensor per_token = distances(options_, y, t);
    if (input.weights.defined()) {
      per_token = per_token * valid_rows(input.weights, input.mask).to(type);
    }
    const at::Tensor sum = per_token.sum();
    total = total.defined() ? total + sum : sum;
    count = y.size(0);
  }
  const auto mean = total / static_cast<double>(pairs_.size());
  return layer_value(mean, options_.weight, Options::kKind, count);
}

}  // namespace distill::losses
