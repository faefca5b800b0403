#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace distill::ops {

/// How a weight that is not trained is held in few bits.
enum class WeightFormat {
  kInt8,  ///< whole numbers in +-127, a scale of each output
  kFp8,   ///< e4m3, a scale of each output
  /// One of 16 quantiles of a normal distribution, a scale of each 64 elements, which is itself
  /// held in 8 bits (NF4 with double quantisation; Dettmers et al. 2023, section 3): 4.13 bits.
  kNf4,
};
constexpr std::array<std::string_view, 3> choice_names(WeightFormat) {
  return {"int8", "fp8", "nf4"};
}
constexpr std::string_view name_of(WeightFormat format) {
  return choice_names(format)[static_cast<std::size_t>(format)];
}

/// A matrix [rows, columns] in few bits: codes times scales.
struct QuantizedMatrix {
  WeightFormat format = WeightFormat::kInt8;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  at::ScalarType dtype = at::kFloat;  ///< of the matrix that it stands for, fp32 or bf16
  /// int8 or float8_e4m3fn [rows, columns]; NF4: uint8, two elements in a byte, the first in its
  /// upper half, through all rows.
  at::Tensor codes;
  /// fp32 [rows]; NF4: int8 [blocks of 64 elements], in steps from `offset`.
  at::Tensor scales;
  at::Tensor steps;  ///< NF4: fp32, of each 256 blocks; else undefined
  float offset = 0;  ///< NF4: mean of the scales

  at::Device device() const { return codes.device(); }
  /// The same on another device.
  QuantizedMatrix to(at::Device device) const;
};

/// `weight` [out, in], fp32 or bf16, to the nearest codes. All threads, on the CPU; the result is
/// on the weight's device. Throws c10::Error for another type or shape, or NaN or Inf.
QuantizedMatrix quantize(const at::Tensor& weight, WeightFormat format);

/// The matrix it stands for, [rows, columns]: formed in fp32 and rounded once to `dtype` (fp32,
/// bf16 or fp64). All threads.
at::Tensor dequantize(const QuantizedMatrix& matrix, at::ScalarType dtype);
/// In its own dtype.
inline at::Tensor dequantize(const QuantizedMatrix& matrix) {
  return dequantize(matrix, matrix.dtype);
}

/// Bytes of codes and scales.
std::uint64_t bytes(const QuantizedMatrix& matrix);
/// Of a matrix of this size, saturated: no number is too large.
std::uint64_t quantized_bytes(WeightFormat format, std::int64_t rows, std::int64_t columns);

/// What quantising lost: sums of squares over all elements.
struct QuantizationLoss {
  double lost = 0;          ///< of weight - what stands for it
  double weight = 0;        ///< of the weight
  double relative() const;  ///< root mean square of the one over that of the other
};
QuantizationLoss quantization_loss(const at::Tensor& weight, const QuantizedMatrix& matrix);

}  // namespace distill::ops
