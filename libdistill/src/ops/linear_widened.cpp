#include "ops/linear_widened.h"

#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include "ops/brgemm.h"
#include "ops/quantized_rows.h"

namespace distill::ops {
namespace {

/// 16 MiB in fp32.
constexpr std::int64_t kSliceElements = std::int64_t{1} << 22;

/// Rows [first, first + count) in bf16, the values that every product of the weight reads.
at::Tensor rows_of(const StoredWeight& weight, std::int64_t first, std::int64_t count) {
  if (!weight.quantized()) return weight.dense().narrow(0, first, count);
  const QuantizedRows rows(*weight.quantized());
  const std::int64_t width = weight.ins();
  at::Tensor out = at::empty({count, width}, at::kBFloat16);
  auto* data = static_cast<cpu::Bf16*>(out.mutable_data_ptr());
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) rows.read(first + r, 0, width, data + r * width);
  });
  return out;
}

/// action(first, count) for slices of `rows` rows of `width` elements.
template <class Action>
void for_slices(std::int64_t rows, std::int64_t width, const Action& action) {
  const std::int64_t step = std::max<std::int64_t>(1, kSliceElements / width);
  for (std::int64_t first = 0; first < rows; first += step) {
    action(first, std::min(step, rows - first));
  }
}

}  // namespace

bool wants_linear_widened(const at::Tensor& x, const StoredWeight& weight) {
  return !cpu_multiplies_bf16() && is_bf16_product(x, weight);
}

at::Tensor widened_forward(const at::Tensor& x, const StoredWeight& weight,
                           const at::Tensor& bias) {
  const at::Tensor wide = x.to(at::kFloat);
  at::Tensor out = at::empty({x.size(0), weight.outs()}, x.options());
  for_slices(weight.outs(), weight.ins(), [&](std::int64_t first, std::int64_t count) {
    at::Tensor part = at::mm(wide, rows_of(weight, first, count).to(at::kFloat).t());
    if (bias.defined()) part.add_(bias.narrow(0, first, count));
    out.narrow(1, first, count).copy_(part);
  });
  return out;
}

at::Tensor widened_input_grad(const at::Tensor& grad, const StoredWeight& weight) {
  at::Tensor sum;
  for_slices(weight.outs(), weight.ins(), [&](std::int64_t first, std::int64_t count) {
    const at::Tensor rows = rows_of(weight, first, count).to(at::kFloat);
    const at::Tensor part = grad.narrow(1, first, count).to(at::kFloat);
    if (sum.defined()) {
      sum.addmm_(part, rows);
    } else {
      sum = at::mm(part, rows);
    }
  });
  return sum.to(grad.scalar_type());
}

at::Tensor widened_weight_grad(const at::Tensor& grad, const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kFloat);
  at::Tensor out = at::empty({grad.size(1), x.size(1)}, x.options());
  for_slices(grad.size(1), x.size(1), [&](std::int64_t first, std::int64_t count) {
    out.narrow(0, first, count)
        .copy_(at::mm(grad.narrow(1, first, count).to(at::kFloat).t(), wide));
  });
  return out;
}

}  // namespace distill::ops
