#include "losses/parted.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>

#include <distill/core/error.h>

namespace distill::losses {

namespace {

at::Tensor rows_of(const at::Tensor& all, const at::Tensor& rows) {
  return all.defined() ? all.index_select(0, rows) : all;
}

LossInput input_of(const LossInput& whole, const types::SignalPart& part) {
  LossInput own;
  own.student = whole.student;
  own.teacher = part.signal;
  own.vocabulary = whole.vocabulary;
  if (part.rows.defined()) {
    own.student.hidden = whole.student.hidden.index_select(0, part.rows);
    own.labels = rows_of(whole.labels, part.rows);
    own.mask = rows_of(whole.mask, part.rows);
    own.weights = rows_of(whole.weights, part.rows);
  } else {
    own.labels = whole.labels;
    own.mask = whole.mask;
    own.weights = whole.weights;
  }
  if (part.weight == 1.0) return own;
  const at::Tensor& hidden = own.student.hidden;
  own.weights = own.weights.defined()
                    ? own.weights * part.weight
                    : at::full({hidden.size(0)}, part.weight, hidden.options().dtype(at::kFloat));
  return own;
}

void add(types::LossValue& sum, types::LossValue own, bool other_rows) {
  sum.sum = sum.sum.defined() ? sum.sum + own.sum : own.sum;
  sum.count = other_rows ? sum.count + own.count : std::max(sum.count, own.count);
  for (std::size_t i = 0; i < own.parts.size(); ++i) {
    if (i == sum.parts.size()) {
      sum.parts.push_back(std::move(own.parts[i]));
    } else {
      sum.parts[i].sum = sum.parts[i].sum + own.parts[i].sum;
    }
  }
}

}  // namespace

types::LossValue sum_over_parts(const LossInput& input, const types::PartedSignal& signal,
                                const std::function<types::LossValue(const LossInput&)>& loss) {
  if (signal.parts.empty()) fail<TeacherError>("several teachers, and none of them answered");
  if (!input.student.layers.hidden.empty() || !input.student.layers.attention.empty()) {
    fail<TeacherError>("inner layers cannot be compared with those of several teachers");
  }
  types::LossValue sum;
  for (const types::SignalPart& part : signal.parts) {
    add(sum, loss(input_of(input, part)), part.rows.defined());
  }
  return sum;
}

}  // namespace distill::losses
