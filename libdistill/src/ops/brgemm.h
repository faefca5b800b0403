#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "ops/cpu/scalar_types.h"

/// Products of bf16 matrices with fp32 results, by the micro-kernels that come with LibTorch.
namespace distill::ops {

/// True on CPUs with the instructions for it.
bool cpu_has_brgemm();

/// False on CPUs where a product in bf16 is the slower one, even with both operands converted.
bool cpu_multiplies_bf16();

struct BrgemmShape {
  std::int64_t m, n, k;  ///< k is even
  std::int64_t lda, ldb, ldc;
  bool add;
};

/// C [m, n] (+)= A [m, k] B; B is packed in pairs of k: [k / 2][ldb][2].
void brgemm(const BrgemmShape& shape, const cpu::Bf16* a, const cpu::Bf16* b, float* c);

/// To be called on a thread when it is done with its products.
void release_brgemm();

/// Ids of a head, or outputs of any other layer, that are packed and multiplied together.
inline constexpr std::int64_t kHeadBlock = 128;

/// Rows [first, first + count) of a head [V, width], each dense, width and stride even, at an
/// address of 4 bytes, as B of hidden x head^T:
/// [width / 2][kHeadBlock][2], zeros behind `count`.
void pack_head_block(const at::Tensor& head, std::int64_t first, std::int64_t count,
                     std::uint32_t* packed);

}  // namespace distill::ops
