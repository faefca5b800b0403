#include "ops/packed_codes.h"

#include <algorithm>
#include <array>
#include <vector>

#include "ops/cpu/divergence_table.h"
#include "ops/kernel_call.h"
#include "ops/quantized_rows.h"

namespace distill::ops {

namespace {

using cpu::Bf16;

/// Elements of each output that are formed at a time: with kHeadBlock outputs they stay in a core's
/// cache until they are laid out.
constexpr std::int64_t kStrip = 256;

/// Rows [first, first + count) of the weight as columns of B.
void pack_outputs(const QuantizedMatrix& weight, std::int64_t first, std::int64_t count,
                  Bf16* packed) {
  const QuantizedRows rows(weight);
  const auto transpose = cpu::divergence_kernels().transpose;
  std::vector<std::uint32_t> strip(static_cast<std::size_t>(count * kStrip / 2));
  auto* formed = reinterpret_cast<Bf16*>(strip.data());
  if (count < kHeadBlock) std::fill_n(packed, weight.columns * kHeadBlock, Bf16{0});
  for (std::int64_t k = 0; k < weight.columns; k += kStrip) {
    const std::int64_t depth = std::min(kStrip, weight.columns - k);
    for (std::int64_t i = 0; i < count; ++i) {
      rows.read(first + i, k, depth, formed + i * kStrip);
    }
    transpose(strip.data(), kStrip / 2, reinterpret_cast<std::uint32_t*>(packed + k * kHeadBlock),
              kHeadBlock, count, depth / 2);
  }
}

/// Columns [first, first + count) of the matrix as columns of B.
void pack_inputs(const QuantizedMatrix& matrix, std::int64_t first, std::int64_t count,
                 Bf16* packed) {
  const QuantizedRows rows(matrix);
  const auto interleave = cpu::divergence_kernels().interleave;
  std::array<Bf16, kHeadBlock> upper, lower;
  for (std::int64_t k = 0; k < matrix.rows; k += 2, packed += 2 * kHeadBlock) {
    const bool both = k + 1 < matrix.rows;
    rows.read(k, first, count, upper.data());
    if (both) rows.read(k + 1, first, count, lower.data());
    interleave(upper.data(), both ? lower.data() : nullptr, packed, count);
    std::fill(packed + 2 * count, packed + 2 * kHeadBlock, Bf16{0});
  }
}

}  // namespace

ProductPart times_transposed(const at::Tensor& x, const QuantizedMatrix& weight) {
  return {read<Bf16>(x), x.stride(0), x.size(1),
          [&weight](std::int64_t first, std::int64_t count, Bf16* packed) {
            pack_outputs(weight, first, count, packed);
          }};
}

ProductPart times(const at::Tensor& x, const QuantizedMatrix& matrix) {
  return {read<Bf16>(x), x.stride(0), x.size(1),
          [&matrix](std::int64_t first, std::int64_t count, Bf16* packed) {
            pack_inputs(matrix, first, count, packed);
          }};
}

}  // namespace distill::ops
