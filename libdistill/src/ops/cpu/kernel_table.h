#pragma once

#include "ops/cpu/attention_rows.h"
#include "ops/cpu/quantized_codes.h"
#include "ops/cpu/scalar_types.h"

namespace distill::ops::cpu {

/// Half-open range of rows (or elements) for one call; calls for different ranges may run at once.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

template <class T>
struct RmsNormArgs {
  const T* x = nullptr;            ///< [rows, width]
  const T* residual = nullptr;     ///< [rows, width] or null
  const T* weight = nullptr;       ///< [width]
  T* normed = nullptr;             ///< [rows, width]
  T* sum = nullptr;                ///< x + residual; set exactly when `residual` is
  Accumulator<T>* rstd = nullptr;  ///< [rows] or null: 1 / sqrt(mean(x^2) + eps)
  std::int64_t width = 0;
  Accumulator<T> eps = 0;
};

template <class T>
struct RmsNormGradArgs {
  const T* x = nullptr;  ///< what was normalised
  const T* weight = nullptr;
  const Accumulator<T>* rstd = nullptr;
  const T* grad_normed = nullptr;
  const T* grad_sum = nullptr;            ///< added to grad_x, or null
  T* grad_x = nullptr;                    ///< or null
  Accumulator<T>* grad_weight = nullptr;  ///< [width], added to; or null
  std::int64_t width = 0;
};

template <class T>
struct RotaryArgs {
  const T* x = nullptr;  ///< [rows, heads, 2 * half], last dimension dense
  std::int64_t row_stride = 0;
  std::int64_t head_stride = 0;
  const Accumulator<T>* cos = nullptr;  ///< [rows, half]
  const Accumulator<T>* sin = nullptr;
  T* out = nullptr;  ///< dense
  std::int64_t heads = 0;
  std::int64_t half = 0;
  Accumulator<T> direction = 1;  ///< -1 turns back
};

/// Rows of `width` elements; each input has its own distance between rows, outputs are dense.
template <class T>
struct SwigluArgs {
  const T* gate = nullptr;
  const T* up = nullptr;
  const T* grad = nullptr;  ///< backward only
  std::int64_t gate_stride = 0;
  std::int64_t up_stride = 0;
  std::int64_t width = 0;
  T* out = nullptr;        ///< forward only
  T* grad_gate = nullptr;  ///< backward only, or null
  T* grad_up = nullptr;    ///< backward only, or null
};

/// Elements by their place in a dense tensor.
template <class T>
struct DropoutArgs {
  const T* x = nullptr;
  T* out = nullptr;
  std::uint64_t seed = 0;
  std::uint32_t threshold = 0;  ///< of 2^32: elements with smaller bits become 0
  Accumulator<T> scale = 1;     ///< of those that stay
  bool add = false;             ///< to what is in `out`
};

/// AdamW with everything that is the same for all elements already folded together.
template <class G>
struct AdamWArgs {
  float* master = nullptr;
  Bf16* compute = nullptr;  ///< or null
  const G* gradient = nullptr;
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  float gradient_scale = 1;
  float beta1 = 0;
  float one_minus_beta1 = 0;
  float beta2 = 0;
  float one_minus_beta2 = 0;
  float decay = 1;             ///< 1 - lr * weight_decay
  float step_size = 0;         ///< lr / (1 - beta1^t)
  float rsqrt_correction = 1;  ///< 1 / sqrt(1 - beta2^t)
  float eps = 0;
};

template <class T>
struct TypedKernels {
  void (*rms_norm)(const RmsNormArgs<T>&, Range rows);
  void (*rms_norm_grad)(const RmsNormGradArgs<T>&, Range rows);
  void (*rotary)(const RotaryArgs<T>&, Range rows);
  void (*swiglu)(const SwigluArgs<T>&, Range rows);
  void (*swiglu_grad)(const SwigluArgs<T>&, Range rows);
  void (*dropout)(const DropoutArgs<T>&, Range elements);
};

/// All kernels of one instruction set.
struct KernelTable {
  TypedKernels<float> f32;
  TypedKernels<Bf16> bf16;
  TypedKernels<double> f64;
  void (*adamw_f32)(const AdamWArgs<float>&, Range elements);
  void (*adamw_bf16)(const AdamWArgs<Bf16>&, Range elements);
  double (*sum_of_squares_f32)(const float* x, std::int64_t n);
  double (*sum_of_squares_bf16)(const Bf16* x, std::int64_t n);
  void (*exp)(const float* x, float* out, std::int64_t n);
  void (*log)(const float* x, float* out, std::int64_t n);
  void (*expm1)(const float* x, float* out, std::int64_t n);
  void (*log1p)(const float* x, float* out, std::int64_t n);
  void (*sigmoid)(const float* x, float* out, std::int64_t n);
  void (*to_bf16)(const float* x, Bf16* out, std::int64_t n);
  void (*to_f32)(const Bf16* x, float* out, std::int64_t n);
  AttentionKernels attention;
  QuantizeKernels quantize;
  DequantizeKernels<float> dequantize_f32;
  DequantizeKernels<Bf16> dequantize_bf16;
};

}  // namespace distill::ops::cpu
