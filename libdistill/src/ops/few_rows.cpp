#include "ops/few_rows.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "ops/brgemm.h"
#include "ops/cpu/divergence_table.h"
#include "ops/kernel_call.h"
#include "ops/quantized_rows.h"

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
  const StoredWeight& weight;
  float* out;
  std::int64_t rows() const { return x.size(0); }
  std::int64_t width() const { return weight.ins(); }
  std::int64_t outs() const { return weight.outs(); }
};

/// Rows of the weights in bf16: as they lie, or formed in memory of its own. Of one thread.
class WeightRows {
 public:
  /// At most `most` rows at a time.
  WeightRows(const StoredWeight& weight, std::int64_t most)
      : dense_(weight.dense()),
        width_(weight.ins()),
        codes_(weight.quantized() ? std::optional<QuantizedRows>(*weight.quantized())
                                  : std::nullopt),
        space_(codes_ ? static_cast<std::size_t>(most * width_) : 0) {}

  std::int64_t stride() const { return codes_ ? width_ : dense_.stride(0); }
  const Bf16* from(std::int64_t first, std::int64_t count) {
    if (!codes_) return read<Bf16>(dense_) + first * dense_.stride(0);
    for (std::int64_t i = 0; i < count; ++i) {
      codes_->read(first + i, 0, width_, space_.data() + i * width_);
    }
    return space_.data();
  }

 private:
  const at::Tensor& dense_;
  std::int64_t width_;
  std::optional<QuantizedRows> codes_;
  std::vector<Bf16> space_;
};

void by_vectors(const Product& p) {
  const auto* in = read<Bf16>(p.x);
  const auto dot = cpu::kernels().attention.dot;
  at::parallel_for(0, p.outs(), rows_per_task(p.width()),
                   [&](std::int64_t begin, std::int64_t end) {
                     WeightRows weights(p.weight, 1);
                     for (std::int64_t o = begin; o < end; ++o) {
                       const Bf16* row = weights.from(o, 1);
                       for (std::int64_t r = 0; r < p.rows(); ++r) {
                         p.out[r * p.outs() + o] = dot(in + r * p.x.stride(0), row, p.width());
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
    WeightRows weights(p.weight, kTile);
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t first = t * kTile, count = std::min(kTile, p.outs() - first);
      brgemm({count, padded, p.width(), weights.stride(), padded, padded, false},
             weights.from(first, count), in, tile.data());
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

bool fits_brgemm(const StoredWeight& weight) {
  return cpu_has_brgemm() && weight.ins() % 2 == 0 && weight.ins() > 0;
}

}  // namespace

bool are_few_rows(const at::Tensor& x, const StoredWeight& weight) {
  const bool dense =
      weight.quantized() ? weight.quantized()->device().is_cpu() : has_dense_rows(weight.dense());
  return has_dense_rows(x) && dense && x.size(1) == weight.ins() &&
         x.size(0) <= (fits_brgemm(weight) ? kMostRows : kMostVectors);
}

at::Tensor few_rows_product(const at::Tensor& x, const StoredWeight& weight) {
  at::Tensor product = at::empty({x.size(0), weight.outs()}, x.options().dtype(at::kFloat));
  const Product of{x, weight, write<float>(product)};
  of.rows() <= kMostVectors ? by_vectors(of) : by_brgemm(of);
  return product;
}

}  // namespace distill::ops
