#include "ops/packed_product.h"

#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "ops/cpu/divergence_table.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/round_up.h"
#include "ops/kernel_call.h"
#include "ops/shared_tasks.h"

// B is packed a block of columns at a time, as the micro-kernel reads it, and then meets tiles of
// rows of A, which is taken as it lies. Packing costs one or two parts of a hundred of the products
// from some hundred rows on.

namespace distill::ops {
namespace {

using cpu::Bf16;
using cpu::round_up;

constexpr std::int64_t kColumns = kHeadBlock;  // of B, packed at a time
constexpr std::int64_t kTileRows = 64;
/// Of the sums, so that a tile of A and the part of B it meets stay in a core's cache.
constexpr std::int64_t kMostDepth = 1024;
/// Rows for which packing a block once more costs little.
constexpr std::int64_t kPanelRows = 256;
/// Sums over tokens are filled up with zeros to a multiple, so that few kernels serve all.
constexpr std::int64_t kDepthStep = 32;

std::int64_t whole_depth(const PackedProduct& product) {
  std::int64_t depth = 0;
  for (const ProductPart& part : product.parts) depth += part.depth;
  return depth;
}

/// C = A B for one tile of A. Its rows are taken in two heights when they are no multiple of 16, so
/// that few kernels serve all.
void multiply_tile(const PackedProduct& p, std::int64_t row, std::int64_t count, std::int64_t width,
                   const Bf16* packed, float* sums) {
  const std::int64_t whole = count / 16 * 16;
  bool add = false;
  for (const ProductPart& part : p.parts) {
    for (std::int64_t k = 0; k < part.depth; k += kMostDepth) {
      const std::int64_t depth = std::min(kMostDepth, part.depth - k);
      const auto rows = [&](std::int64_t first, std::int64_t height) {
        if (height == 0) return;
        brgemm({height, width, depth, part.a_stride, kColumns, kColumns, add},
               part.a + (row + first) * part.a_stride + k, packed + k * kColumns,
               sums + first * kColumns);
      };
      rows(0, whole);
      rows(whole, count - whole);
      add = true;
    }
    packed += part.depth * kColumns;
  }
}

void store_row(const float* sums, Bf16* out, std::int64_t count) {
  cpu::kernels().to_bf16(sums, out, count);
}

void store_row(const float* sums, float* out, std::int64_t count) {
  std::copy_n(sums, count, out);
}

template <class Out>
void store_tile(const PackedProduct& p, std::int64_t row, std::int64_t count, std::int64_t column,
                float* sums, Out* out) {
  const std::int64_t width = std::min(kColumns, p.columns - column);
  for (std::int64_t r = 0; r < count; ++r) {
    float* line = sums + r * kColumns;
    if (p.bias != nullptr) {
      for (std::int64_t i = 0; i < width; ++i) line[i] += p.bias[column + i];
    }
    store_row(line, out + (row + r) * p.columns + column, width);
  }
}

void pack_parts(const PackedProduct& p, std::int64_t column, std::int64_t width, Bf16* packed) {
  for (const ProductPart& part : p.parts) {
    part.pack(column, width, packed);
    packed += part.depth * kColumns;
  }
}

template <class Out>
void multiply_into(const PackedProduct& p, Out* out) {
  const std::int64_t depth = whole_depth(p);
  const std::int64_t blocks = (p.columns + kColumns - 1) / kColumns;
  const std::int64_t wanted = (4 * at::get_num_threads() + blocks - 1) / blocks;
  const std::int64_t most = std::max<std::int64_t>(1, p.rows / kPanelRows);
  const std::int64_t panel_rows =
      round_up((p.rows + std::min(wanted, most) - 1) / std::min(wanted, most), kTileRows);
  const std::int64_t panels = (p.rows + panel_rows - 1) / panel_rows;
  const std::int64_t work = p.rows * p.columns * depth / 128;
  share_tasks(blocks * panels, work, [&](const auto& claim) {
    std::vector<Bf16> packed(static_cast<std::size_t>(depth * kColumns));
    std::vector<float> sums(kTileRows * kColumns);
    std::int64_t at_hand = -1;
    for (std::int64_t task; (task = claim()) >= 0;) {
      const std::int64_t block = task / panels, first = task % panels * panel_rows;
      const std::int64_t column = block * kColumns;
      const std::int64_t width = std::min(kColumns, p.columns - column);
      if (block != at_hand) pack_parts(p, column, width, packed.data());
      at_hand = block;
      const std::int64_t last = std::min(first + panel_rows, p.rows);
      for (std::int64_t row = first; row < last; row += kTileRows) {
        const std::int64_t count = std::min(kTileRows, last - row);
        multiply_tile(p, row, count, round_up(width, 16), packed.data(), sums.data());
        store_tile(p, row, count, column, sums.data(), out);
      }
    }
  });
}

/// Rows of a matrix [depth, columns] as B; `depth` may go beyond them.
void pack_rows(const at::Tensor& matrix, std::int64_t depth, std::int64_t column,
               std::int64_t width, Bf16* out) {
  const auto interleave = cpu::divergence_kernels().interleave;
  const std::int64_t rows = matrix.size(0), stride = matrix.stride(0);
  const Bf16* in = read<Bf16>(matrix) + column;
  for (std::int64_t k = 0; k < depth; k += 2, out += 2 * kColumns) {
    if (k >= rows) {
      std::fill_n(out, 2 * kColumns, Bf16{0});
      continue;
    }
    interleave(in + k * stride, k + 1 < rows ? in + (k + 1) * stride : nullptr, out, width);
    std::fill(out + 2 * width, out + 2 * kColumns, Bf16{0});
  }
}

}  // namespace

void multiply(const PackedProduct& product, Bf16* out) {
  multiply_into(product, out);
}

void multiply(const PackedProduct& product, float* out) {
  multiply_into(product, out);
}

at::Tensor paired_rows(const at::Tensor& x) {
  const bool dense = (x.stride(1) == 1 || x.size(1) == 1) && x.stride(0) >= x.size(1);
  const auto address = reinterpret_cast<std::uintptr_t>(x.const_data_ptr());
  if (dense && x.stride(0) % 2 == 0 && address % alignof(std::uint32_t) == 0) return x;
  return x.clone(at::MemoryFormat::Contiguous);
}

ProductPart times_transposed(const at::Tensor& x, const at::Tensor& weight) {
  return {read<Bf16>(x), x.stride(0), x.size(1),
          [&weight](std::int64_t first, std::int64_t count, Bf16* packed) {
            pack_head_block(weight, first, count, reinterpret_cast<std::uint32_t*>(packed));
          }};
}

ProductPart times(const at::Tensor& x, const at::Tensor& matrix) {
  const std::int64_t depth = x.size(1);
  return {read<Bf16>(x), x.stride(0), depth,
          [&matrix, depth](std::int64_t first, std::int64_t count, Bf16* packed) {
            pack_rows(matrix, depth, first, count, packed);
          }};
}

at::Tensor transposed_rows(const at::Tensor& matrix) {
  constexpr std::int64_t kPairs = 64, kStrip = 64;
  const std::int64_t columns = matrix.size(1), rows = matrix.size(0), stride = matrix.stride(0);
  const std::int64_t depth = round_up(rows, kDepthStep);
  at::Tensor out = at::empty({columns, depth}, matrix.options());
  const Bf16* in = read<Bf16>(matrix);
  auto* words = static_cast<std::uint32_t*>(out.mutable_data_ptr());
  const std::int64_t strips = (columns + kStrip - 1) / kStrip;
  const auto& kernels = cpu::divergence_kernels();
  at::parallel_for(0, strips, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::uint32_t> pairs(kPairs * kStrip);
    auto* halves = reinterpret_cast<Bf16*>(pairs.data());
    for (std::int64_t strip = begin; strip < end; ++strip) {
      const std::int64_t column = strip * kStrip, width = std::min(kStrip, columns - column);
      for (std::int64_t row = 0; row < depth; row += 2 * kPairs) {
        const std::int64_t count = std::min(kPairs, (depth - row) / 2);
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t at = row + 2 * i;
          if (at >= rows) {
            std::fill_n(halves + 2 * i * kStrip, 2 * kStrip, Bf16{0});
            continue;
          }
          const Bf16* upper = in + at * stride + column;
          kernels.interleave(upper, at + 1 < rows ? upper + stride : nullptr,
                             halves + 2 * i * kStrip, width);
        }
        kernels.transpose(pairs.data(), kStrip, words + (column * depth + row) / 2, depth / 2,
                          count, width);
      }
    }
  });
  return out;
}

}  // namespace distill::ops
