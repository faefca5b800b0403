#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "ops/brgemm.h"
#include "ops/cpu/scalar_types.h"

/// Products A B in bf16 with sums in fp32, B packed a block of columns at a time. Each number is
/// one chain of sums, the same for any number of rows beside it and of threads.
namespace distill::ops {

/// Writes `count` columns of B from `first` on as the micro-kernel reads them,
/// [depth / 2][kHeadBlock][2], with zeros behind `count`.
using PackColumns = std::function<void(std::int64_t first, std::int64_t count, cpu::Bf16* packed)>;

/// Some columns of A and the rows of B that meet them.
struct ProductPart {
  const cpu::Bf16* a = nullptr;  ///< [rows, depth]
  std::int64_t a_stride = 0;
  std::int64_t depth = 0;  ///< even
  PackColumns pack;
};

/// The sum of all parts, and `bias` added to every row.
struct PackedProduct {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<ProductPart> parts;
  const float* bias = nullptr;  ///< [columns] or null
};

/// out [rows, columns], dense; bf16 is rounded once.
void multiply(const PackedProduct& product, cpu::Bf16* out);
void multiply(const PackedProduct& product, float* out);

/// Rows of bf16 at addresses that can be read in pairs: x itself, or a copy.
at::Tensor paired_rows(const at::Tensor& x);

/// A is `x`, B is weight^T; both as `paired_rows` gives them and alive until the product is formed.
ProductPart times_transposed(const at::Tensor& x, const at::Tensor& weight);

/// A is `x`, B is `matrix` [at most x.size(1), columns], zeros behind its rows.
ProductPart times(const at::Tensor& x, const at::Tensor& matrix);

/// [rows, columns] -> [columns, depth] with zeros behind the rows: depth is rows rounded up, so
/// that few kernels serve sums over tokens.
at::Tensor transposed_rows(const at::Tensor& matrix);

}  // namespace distill::ops
