#include "ops/quantized_rows.h"

#include "ops/cpu/isa.h"
#include "ops/kernel_call.h"

namespace distill::ops {

namespace {

template <class T>
const cpu::DequantizeKernels<T>& dequantize_kernels();
template <>
const cpu::DequantizeKernels<float>& dequantize_kernels<float>() {
  return cpu::kernels().dequantize_f32;
}
template <>
const cpu::DequantizeKernels<cpu::Bf16>& dequantize_kernels<cpu::Bf16>() {
  return cpu::kernels().dequantize_bf16;
}

}  // namespace

QuantizedRows::QuantizedRows(const QuantizedMatrix& matrix)
    : matrix_(&matrix),
      codes_(matrix.codes.const_data_ptr()),
      scales_(matrix.scales.const_data_ptr()),
      steps_(ops::read<float>(matrix.steps)) {}

template <class T>
void QuantizedRows::read_as(std::int64_t row, std::int64_t first, std::int64_t count,
                            T* out) const {
  const std::int64_t place = row * matrix_->columns + first;
  const auto& kernels = dequantize_kernels<T>();
  switch (matrix_->format) {
    case WeightFormat::kInt8:
      return kernels.int8(static_cast<const std::int8_t*>(codes_) + place,
                          static_cast<const float*>(scales_)[row], out, count);
    case WeightFormat::kFp8:
      return kernels.fp8(static_cast<const std::uint8_t*>(codes_) + place,
                         static_cast<const float*>(scales_)[row], out, count);
    case WeightFormat::kNf4:
      return kernels.nf4({static_cast<const std::uint8_t*>(codes_),
                          static_cast<const std::int8_t*>(scales_), steps_, matrix_->offset},
                         place, out, count);
  }
}

void QuantizedRows::read(std::int64_t row, std::int64_t first, std::int64_t count,
                         cpu::Bf16* out) const {
  read_as(row, first, count, out);
}

void QuantizedRows::read(std::int64_t row, std::int64_t first, std::int64_t count,
                         float* out) const {
  read_as(row, first, count, out);
}

}  // namespace distill::ops
