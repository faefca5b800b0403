#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>

#include <distill/losses/loss.h>

#include "support/op_check.h"

/// Random inner layers of a student and a teacher, for the losses that compare them.
namespace distill::testing {

struct LayerSizes {
  std::int64_t rows = 24;
  std::int64_t student_layers = 2, student_width = 8;
  std::int64_t teacher_layers = 4, teacher_width = 8;
  std::int64_t student_heads = 4, teacher_heads = 4;
};

inline losses::LossContext layer_context(const LayerSizes& sizes) {
  losses::LossContext context;
  context.student = {sizes.student_layers, sizes.student_width};
  context.teacher = types::LayerShape{sizes.teacher_layers, sizes.teacher_width};
  context.seed = 17;
  return context;
}

/// All layers of both models over two packed segments; the student's want gradients. Every third
/// row is masked.
inline losses::LossInput layer_input(const LayerSizes& sizes, at::ScalarType type) {
  constexpr std::int64_t kHeadSize = 4;
  losses::LossInput input;
  std::uint64_t seed = 0;
  const auto add = [&](types::LayerStates& states, std::int64_t layers, std::int64_t width,
                       std::int64_t heads) {
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const auto make = [&](at::IntArrayRef shape) { return normal(shape, ++seed).to(type); };
      states.hidden[layer] = make({sizes.rows, width});
      states.attention[layer] = {make({sizes.rows, heads, kHeadSize}),
                                 make({sizes.rows, heads, kHeadSize}), 0.5};
    }
  };
  add(input.student.layers, sizes.student_layers, sizes.student_width, sizes.student_heads);
  add(input.teacher_layers, sizes.teacher_layers, sizes.teacher_width, sizes.teacher_heads);
  for (auto& [layer, hidden] : input.student.layers.hidden) hidden.requires_grad_();
  for (auto& [layer, maps] : input.student.layers.attention) {
    maps.q.requires_grad_();
    maps.k.requires_grad_();
  }
  input.mask = at::arange(sizes.rows, at::kLong).remainder(3) != 2;
  input.segments = {0, sizes.rows / 3, sizes.rows};
  return input;
}

}  // namespace distill::testing
