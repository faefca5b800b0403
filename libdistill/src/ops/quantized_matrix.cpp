#include <distill/ops/quantized_matrix.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <distill/core/checked.h>

#include "ops/cpu/quantized_codes.h"
#include "ops/kernel_call.h"
#include "ops/quantized_rows.h"

namespace distill::ops {

namespace {

/// fp32, on any device: the same numbers as the kernels give.
at::Tensor composed(const QuantizedMatrix& m) {
  if (m.format != WeightFormat::kNf4) return m.codes.to(at::kFloat) * m.scales.unsqueeze(1);
  const std::int64_t count = m.rows * m.columns, blocks = m.scales.size(0);
  const at::Tensor table =
      at::tensor(at::ArrayRef<float>(cpu::kNf4Values), m.codes.options().dtype(at::kFloat));
  const at::Tensor bytes = m.codes.to(at::kInt);
  const at::Tensor places =
      at::stack({bytes.bitwise_right_shift(4), bytes.bitwise_and(15)}, 1).flatten();
  const at::Tensor steps =
      m.steps.repeat_interleave(cpu::kNf4Steps).narrow(0, 0, blocks).to(at::kDouble);
  const at::Tensor scales = (m.scales.to(at::kDouble) * steps + static_cast<double>(m.offset))
                                .to(at::kFloat)
                                .clamp_min(0);
  const at::Tensor of_elements = scales.repeat_interleave(cpu::kNf4Block).narrow(0, 0, count);
  const at::Tensor values = table.index_select(0, places.narrow(0, 0, count));
  return (values * of_elements).view({m.rows, m.columns});
}

template <class T>
void read_rows(const QuantizedMatrix& m, T* out) {
  const QuantizedRows rows(m);
  at::parallel_for(0, m.rows, rows_per_task(m.columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      rows.read(row, 0, m.columns, out + row * m.columns);
    }
  });
}

}  // namespace

QuantizedMatrix QuantizedMatrix::to(at::Device device) const {
  QuantizedMatrix moved = *this;
  for (at::Tensor* tensor : {&moved.codes, &moved.scales, &moved.steps}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  return moved;
}

at::Tensor dequantize(const QuantizedMatrix& m, at::ScalarType dtype) {
  if (!m.device().is_cpu()) return composed(m).to(dtype);
  const bool narrow = dtype == at::kBFloat16;
  const at::Tensor out = at::empty({m.rows, m.columns}, narrow ? at::kBFloat16 : at::kFloat);
  if (narrow) {
    read_rows(m, write<cpu::Bf16>(out));
  } else {
    read_rows(m, write<float>(out));
  }
  return out.to(dtype);
}

std::uint64_t bytes(const QuantizedMatrix& m) {
  std::uint64_t sum = 0;
  for (const at::Tensor& tensor : {m.codes, m.scales, m.steps}) {
    if (tensor.defined()) sum += tensor.nbytes();
  }
  return sum;
}

std::uint64_t quantized_bytes(WeightFormat format, std::int64_t rows, std::int64_t columns) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max() / 16;
  const auto outs = static_cast<std::uint64_t>(rows);
  const auto product = core::checked_mul(outs, static_cast<std::uint64_t>(columns));
  if (!product || *product > kMost) return kMost;
  if (format != WeightFormat::kNf4) return *product + 4 * outs;
  const std::uint64_t blocks = (*product + cpu::kNf4Block - 1) / cpu::kNf4Block;
  return (*product + 1) / 2 + blocks + 4 * ((blocks + cpu::kNf4Steps - 1) / cpu::kNf4Steps);
}

double QuantizationLoss::relative() const {
  return weight > 0 ? std::sqrt(lost / weight) : 0.0;
}

QuantizationLoss quantization_loss(const at::Tensor& weight, const QuantizedMatrix& matrix) {
  constexpr std::int64_t kRows = 256;  // no whole copy in fp32
  QuantizationLoss loss;
  const QuantizedMatrix own = matrix.to(at::kCPU);
  const QuantizedRows rows(own);
  for (std::int64_t first = 0; first < own.rows; first += kRows) {
    const std::int64_t count = std::min(kRows, own.rows - first);
    const at::Tensor part = weight.narrow(0, first, count).to(at::kCPU, at::kFloat);
    const at::Tensor formed = at::empty({count, own.columns}, at::kFloat);
    auto* out = write<float>(formed);
    at::parallel_for(0, count, rows_per_task(own.columns),
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t row = begin; row < end; ++row) {
                         rows.read(first + row, 0, own.columns, out + row * own.columns);
                       }
                     });
    loss.lost += (part - formed).square().sum(at::kDouble).item<double>();
    loss.weight += part.square().sum(at::kDouble).item<double>();
  }
  return loss;
}

}  // namespace distill::ops
