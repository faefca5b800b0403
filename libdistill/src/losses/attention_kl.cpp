#include <distill/losses/attention_kl.h>

#include <ATen/TensorOperators.h>

#include <distill/ops/attention_divergence.h>

#include "losses/layer_loss.h"
#include "losses/options.h"

namespace distill::losses {
namespace {

constexpr std::string_view kKind = AttentionKlOptions::kKind;

}  // namespace

void describe(core::FieldVisitor& visit, AttentionKlOptions& options) {
  visit("weight", options.weight, "factor of this loss in the total");
  visit("layers", options.layers,
        "which layers are compared; empty: all of the smaller model, evenly spaced, last to last");
}

void validate(const AttentionKlOptions& options, core::Problems& problems) {
  check_not_negative("weight", options.weight, problems);
}

AttentionKl::AttentionKl(const AttentionKlOptions& options) : options_(checked(options, kKind)) {}

void AttentionKl::check(const LossContext& context) const {
  resolve_pairs(kKind, options_.layers, context);
}

void AttentionKl::prepare(const LossContext& context) {
  pairs_ = resolve_pairs(kKind, options_.layers, context);
}

LayerNeeds AttentionKl::needs() const {
  LayerNeeds needs;
  for (const LayerPair& pair : pairs_) {
    needs.student.attention.push_back(pair.student);
    needs.teacher.attention.push_back(pair.teacher);
  }
  return needs;
}

types::LossValue AttentionKl::operator()(const LossInput& input) const {
  require_prepared(kKind, pairs_);
  at::Tensor total;
  for (const LayerPair& pair : pairs_) {
    ops::AttentionDivergenceInput maps;
    maps.student = layer_of(input.student.layers.attention, pair.student, kKind, "student");
    maps.teacher = layer_of(input.teacher_layers.attention, pair.teacher, kKind, "teacher");
    maps.segments = input.segments;
    maps.valid = input.mask;
    maps.weights = input.weights;
    const at::Tensor sum = ops::attention_divergence(maps);
    total = total.defined() ? total + sum : sum;
  }
  const auto mean = total / static_cast<double>(pairs_.size());
  const std::int64_t count =
      input.mask.defined() ? input.mask.sum().item<std::int64_t>()
                           : input.student.layers.attention.at(pairs_.front().student).q.size(0);
  return layer_value(mean, options_.weight, kKind, count);
}

}  // namespace distill::losses
