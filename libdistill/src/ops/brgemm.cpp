#include "ops/brgemm.h"

#include <algorithm>

#include <ATen/native/CPUBlas.h>

#include "ops/cpu/divergence_table.h"

namespace distill::ops {

bool cpu_has_brgemm() {
#if defined(__x86_64__)
  // LibTorch's own question, could_pack, says no on machines where brgemm works.
  static const bool has =
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl");
  return has;
#else
  return false;
#endif
}

bool cpu_multiplies_bf16() {
#if defined(__x86_64__)
  return cpu_has_brgemm();
#else
  return true;  // LibTorch decides, as it does for fp32
#endif
}

void brgemm(const BrgemmShape& s, const cpu::Bf16* a, const cpu::Bf16* b, float* c) {
  at::native::cpublas::brgemm(s.m, s.n, s.k, s.lda, s.ldb, s.ldc, s.add,
                              reinterpret_cast<const at::BFloat16*>(a),
                              reinterpret_cast<const at::BFloat16*>(b), c);
}

void release_brgemm() {
  at::native::cpublas::brgemm_release();
}

void pack_head_block(const at::Tensor& head, std::int64_t first, std::int64_t count,
                     std::uint32_t* packed) {
  const std::int64_t pairs = head.size(1) / 2, stride = head.stride(0) / 2;
  if (count < kHeadBlock) std::fill(packed, packed + pairs * kHeadBlock, 0U);
  const auto* rows = static_cast<const std::uint32_t*>(head.const_data_ptr()) + first * stride;
  cpu::divergence_kernels().transpose(rows, stride, packed, kHeadBlock, count, pairs);
}

}  // namespace distill::ops
