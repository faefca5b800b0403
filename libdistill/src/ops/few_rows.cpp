#include "ops/few_rows.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "ops/brgemm.h"
#include "ops/cpu/divergence_table.h"
#include "ops/kernel_call.h"

namespace distill::ops {

namespace {

using cpu::Bf16;

/// Up to so many rows a product of vectors is as fast as the weights can be read.
constexpr std::int64_t kMostVectors = 4;
/// Up to so many rows it pays to lay out these instead of the weights.
constexpr std::int64_t kMostRows = 64;
constexpr std::int64_t kRowStep = 16;
/// Outputs that are formed at a time.
constexpr std::int64_t kTile = 64;

bool has_dense_rows(const at::Tensor& x) {
  return x.dim() == 2 && x.scalar_type() == at::kBFloat16 && x.device().is_cpu() &&
         (x.stride(1) == 1 || x.size(1) == 1);
}

struct Product {
  const at::Tensor& x;
  const at::Tensor& weight;
  float* out;
  std::int64_t rows() const { return x.size(0); }
  std::int64_t width() const { return weight.size(1); }
  std::int64_t outs() const { return weight.size(0); }
  const Bf16* weight_row(std::int64_t o) const { return read<Bf16>(weight) + o * weight.stride(0); }
};

void by_vectors(const Product& p) {
  const auto* in = read<Bf16>(p.x);
  const auto dot = cpu::kernels().attention.dot;
  at::parallel_for(
      0, p.outs(), rows_per_task(p.width()), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t o = begin; o < end; ++o) {
          for (std::int64_t r = 0; r < p.rows(); ++r) {
            p.out[r * p.outs() + o] = dot(in + r * p.x.stride(0), p.weight_row(o), p.width());
          }
        }
      });
}

/// [width / 2][padded rows][2], zeros for the padding: B of weight x^T.
at::Tensor packed_rows(const at::Tensor& x, std::int64_t padded) {
  at::Tensor rows = x.contiguous();
  // Read in pairs.
  if (reinterpret_cast<std::uintptr_t>(rows.const_data_ptr()) % alignof(std::uint32_t) != 0) {
    rows = rows.clone();
  }
  const std::int64_t pairs = x.size(1) / 2;
  at::Tensor packed = at::zeros({pairs, padded}, at::kInt);
  cpu::divergence_kernels().transpose(static_cast<const std::uint32_t*>(rows.const_data_ptr()),
                                      pairs, static_cast<std::uint32_t*>(packed.mutable_data_ptr()),
                                      padded, x.size(0), pairs);
  return packed;
}

/// (W x^T)^T: the weights are taken as they lie.
void by_brgemm(const Product& p) {
  const std::int64_t padded = (p.rows() + kRowStep - 1) / kRowStep * kRowStep;
  const at::Tensor packed = packed_rows(p.x, padded);
  const auto* in = static_cast<const Bf16*>(packed.const_data_ptr());
  const std::int64_t tiles = (p.outs() + kTile - 1) / kTile;
  at::parallel_for(0, tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> tile(static_cast<std::size_t>(kTile * padded));
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t first = t * kTile, count = std::min(kTile, p.outs() - first);
      brgemm({count, padded, p.width(), p.weight.stride(0), padded, padded, false},
             p.weight_row(first), in, tile.data());
      for (std::int64_t r = 0; r < p.rows(); ++r) {
        float* out = p.out + r * p.outs() + first;
        for (std::int64_t o = 0; o < count; ++o) {
          out[o] = tile[static_cast<std::size_t>(o * padded + r)];
        }
      }
    }
    release_brgemm();
  });
}

bool fits_brgemm(const at::Tensor& weight) {
  return cpu_has_brgemm() && weight.size(1) % 2 == 0 && weight.size(1) > 0;
}

}  // namespace

bool are_few_rows(const at::Tensor& x, const at::Tensor& weight) {
  return has_dense_rows(x) && has_dense_rows(weight) && x.size(1) == weight.size(1) &&
         x.size(0) <= (fits_brgemm(weight) ? kMostRows : kMostVectors);
}

at::Tensor few_rows_product(const at::Tensor& x, const at::Tensor& weight) {
  at::Tensor product = at::empty({x.size(0), weight.size(0)}, x.options().dtype(at::kFloat));
  const Product of{x, weight, write<float>(product)};
  of.rows() <= kMostVectors ? by_vectors(of) : by_brgemm(of);
  return product;
}

}  // namespace distill::ops
