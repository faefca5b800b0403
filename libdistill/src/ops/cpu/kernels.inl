// Everything one instruction set's file compiles; that file has included one vec_*.h and defined
// DISTILL_ISA.

#include "ops/cpu/kernel_table.h"

#include "ops/cpu/vec_math.inl"

#include "ops/cpu/adamw_kernels.inl"
#include "ops/cpu/attention_kernels.inl"
#include "ops/cpu/dropout_kernels.inl"
#include "ops/cpu/elementwise_kernels.inl"
#include "ops/cpu/norm_kernels.inl"
#include "ops/cpu/quantized_kernels.inl"
#include "ops/cpu/rotary_kernels.inl"
#include "ops/cpu/swiglu_kernels.inl"

namespace distill::ops::cpu::DISTILL_ISA {

template <class T>
constexpr TypedKernels<T> typed_table() {
  return {
      .rms_norm = &rms_norm<T>,
      .rms_norm_grad = &rms_norm_grad<T>,
      .rotary = &rotary<T>,
      .swiglu = &swiglu<T>,
      .swiglu_grad = &swiglu_grad<T>,
      .dropout = &dropout<T>,
  };
}

extern const KernelTable kTable;
constexpr KernelTable kTable = {
    .f32 = typed_table<float>(),
    .bf16 = typed_table<Bf16>(),
    .f64 = typed_table<double>(),
    .adamw_f32 = &adamw<float>,
    .adamw_bf16 = &adamw<Bf16>,
    .sum_of_squares_f32 = &sum_of_squares<float>,
    .sum_of_squares_bf16 = &sum_of_squares<Bf16>,
    .exp = &exp_array,
    .log = &log_array,
    .expm1 = &expm1_array,
    .log1p = &log1p_array,
    .sigmoid = &sigmoid_array,
    .to_bf16 = &convert<float, Bf16>,
    .to_f32 = &convert<Bf16, float>,
    .attention = kAttentionKernels,
    .quantize = kQuantizeKernels,
    .dequantize_f32 = dequantize_table<float>(),
    .dequantize_bf16 = dequantize_table<Bf16>(),
};

}  // namespace distill::ops::cpu::DISTILL_ISA
