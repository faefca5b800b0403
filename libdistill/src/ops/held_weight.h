#pragma once

#include <utility>

#include <ATen/core/ivalue.h>
#include <torch/custom_class.h>

#include "ops/stored_weight.h"

namespace distill::ops {

/// A quantised weight that a graph keeps for its backward pass: its codes, no dense copy.
struct HeldWeight : torch::CustomClassHolder {
  explicit HeldWeight(QuantizedMatrix matrix) : weight(std::move(matrix)) {}
  QuantizedMatrix weight;
};

inline c10::IValue hold(const QuantizedMatrix& weight) {
  return c10::IValue::make_capsule(c10::make_intrusive<HeldWeight>(weight));
}

inline StoredWeight held(const c10::IValue& value) {
  return StoredWeight(c10::static_intrusive_pointer_cast<HeldWeight>(value.toCapsule())->weight);
}

}  // namespace distill::ops
