#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <distill/ops/quantized_matrix.h>

#include "ops/cpu/isa.h"
#include "ops/kernel_call.h"
#include "ops/nf4_scales.h"

namespace distill::ops {

namespace {

constexpr std::uint32_t kInfinity = 0x7f800000;
/// Where the largest number is below, its inverse may not be finite: all become 0.
constexpr float kSmallest = 1e-30F;

/// Parts of a dense weight in fp32.
class WeightElements {
 public:
  explicit WeightElements(const at::Tensor& weight)
      : floats_(weight.scalar_type() == at::kFloat ? read<float>(weight) : nullptr),
        halves_(floats_ == nullptr ? read<cpu::Bf16>(weight) : nullptr) {}
  /// As they lie, or in `space`.
  const float* from(std::int64_t first, std::int64_t count, std::vector<float>& space) const {
    if (floats_ != nullptr) return floats_ + first;
    space.resize(static_cast<std::size_t>(count));
    cpu::kernels().to_f32(halves_ + first, space.data(), count);
    return space.data();
  }

 private:
  const float* floats_;
  const cpu::Bf16* halves_;
};

void check_finite(bool finite) {
  TORCH_CHECK(finite, "quantize: `weight` holds NaN or Inf");
}

/// What a number that becomes `most` is multiplied with; 0 where all are next to nothing.
float inverse_of(float largest, float most) {
  return largest < kSmallest ? 0.0F : most / largest;
}

void quantize_channels(const at::Tensor& weight, float most, QuantizedMatrix& out) {
  const auto& kernels = cpu::kernels().quantize;
  const WeightElements elements(weight);
  const std::int64_t columns = out.columns;
  auto* scales = write<float>(out.scales);
  auto* codes = static_cast<std::uint8_t*>(out.codes.mutable_data_ptr());
  std::atomic<bool> finite = true;
  at::parallel_for(0, out.rows, rows_per_task(columns), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> space;
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = elements.from(row * columns, columns, space);
      const std::uint32_t bits = kernels.largest(x, columns);
      if (bits >= kInfinity) {
        finite = false;
        return;
      }
      const auto largest = std::bit_cast<float>(bits);
      const float inverse = inverse_of(largest, most);
      scales[row] = inverse == 0 ? 0.0F : largest / most;
      std::uint8_t* own = codes + row * columns;
      if (out.format == WeightFormat::kFp8) {
        kernels.fp8(x, inverse, own, columns);
      } else {
        kernels.int8(x, inverse, reinterpret_cast<std::int8_t*>(own), columns);
      }
    }
  });
  check_finite(finite);
}

void quantize_blocks(const at::Tensor& weight, QuantizedMatrix& out) {
  constexpr std::int64_t kBlock = cpu::kNf4Block;
  const auto& kernels = cpu::kernels().quantize;
  const WeightElements elements(weight);
  const std::int64_t count = weight.numel(), blocks = (count + kBlock - 1) / kBlock;
  auto* codes = write<std::uint8_t>(out.codes);
  std::vector<float> largest(static_cast<std::size_t>(blocks));
  std::atomic<bool> finite = true;
  at::parallel_for(0, blocks, rows_per_task(kBlock), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> space;
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kBlock, own = std::min(kBlock, count - first);
      const float* x = elements.from(first, own, space);
      const std::uint32_t bits = kernels.largest(x, own);
      if (bits >= kInfinity) {
        finite = false;
        return;
      }
      const auto most = std::bit_cast<float>(bits);
      largest[static_cast<std::size_t>(block)] = most;
      kernels.nf4(x, inverse_of(most, 1.0F), codes + first / 2, own);
    }
  });
  check_finite(finite);
  quantize_scales(largest, out);
}

}  // namespace

QuantizedMatrix quantize(const at::Tensor& weight, WeightFormat format) {
  TORCH_CHECK(weight.defined() && weight.dim() == 2, "quantize: `weight` must be [out, in]");
  TORCH_CHECK(weight.scalar_type() == at::kFloat || weight.scalar_type() == at::kBFloat16,
              "quantize: `weight` is ", weight.scalar_type(), ", expected Float or BFloat16");
  const at::Tensor own = weight.detach().cpu().contiguous();
  QuantizedMatrix out{.format = format,
                      .rows = own.size(0),
                      .columns = own.size(1),
                      .dtype = own.scalar_type(),
                      .codes = {},
                      .scales = {},
                      .steps = {}};
  if (format == WeightFormat::kNf4) {
    out.codes = at::empty({(own.numel() + 1) / 2}, at::kByte);
    quantize_blocks(own, out);
  } else {
    const bool fp8 = format == WeightFormat::kFp8;
    out.codes = at::empty(own.sizes(), fp8 ? at::kFloat8_e4m3fn : at::kChar);
    out.scales = at::empty({out.rows}, at::kFloat);
    quantize_channels(own, fp8 ? 448.0F : 127.0F, out);
  }
  return out.to(weight.device());
}

}  // namespace distill::ops
