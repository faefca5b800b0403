#include <distill/ops/quantized_matrix.h>

#include <array>
#include <bit>
#include <cmath>
#include <filesystem>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Float8_e4m3fn.h>
#include <gtest/gtest.h>

#include "ops/cpu/isa.h"
#include "support/model_folders.h"
#include "support/op_check.h"
#include "support/tolerance.h"

namespace distill::ops {
namespace {

constexpr WeightFormat kFormats[] = {WeightFormat::kInt8, WeightFormat::kFp8, WeightFormat::kNf4};
constexpr std::int64_t kBlock = 64, kGroup = 256;

at::Tensor weight_of(std::int64_t rows, std::int64_t columns, at::ScalarType type = at::kFloat) {
  return testing::normal({rows, columns}, 7, 0.05).to(type);
}

/// The number below which a share `p` of a normal distribution lies, by halving.
double normal_quantile(double p) {
  double low = -10, high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
  }
  return low;
}

/// The 16 values from their definition (Dettmers et al. 2023, section 3 and appendix E): evenly
/// spaced quantiles of both halves, which share 0, over the largest.
std::vector<double> nf4_values() {
  const double last = (1 - 1.0 / 32 + 1 - 1.0 / 30) / 2;
  std::vector<double> values;
  for (int i = 0; i < 7; ++i) values.push_back(-normal_quantile(last + (0.5 - last) * i / 7));
  values.push_back(0);
  for (int i = 7; i >= 0; --i) values.push_back(normal_quantile(last + (0.5 - last) * i / 8));
  const double largest = values.back();
  for (double& value : values) value /= largest;
  return values;
}

TEST(Nf4, ValuesAreQuantilesOfANormalDistribution) {
  const auto values = nf4_values();
  // One block whose elements are the values themselves: each is its own code.
  at::Tensor weight = at::zeros({1, kBlock}, at::kDouble);
  for (int i = 0; i < 16; ++i) weight[0][i] = values[static_cast<std::size_t>(i)];
  const QuantizedMatrix q = quantize(weight.to(at::kFloat), WeightFormat::kNf4);
  const at::Tensor formed = dequantize(q, at::kDouble);
  for (int i = 0; i < 16; ++i) {
    const auto byte = q.codes[i / 2].item<std::int64_t>();
    EXPECT_EQ(i % 2 == 0 ? byte >> 4 : byte & 15, i);
    EXPECT_NEAR(formed[0][i].item<double>(), values[static_cast<std::size_t>(i)], 3e-7) << i;
  }
}

/// The matrix by the definition, in double, one element after another.
std::vector<double> nf4_oracle(const at::Tensor& weight) {
  const auto values = nf4_values();
  const at::Tensor flat = weight.to(at::kDouble).flatten();
  const std::int64_t count = flat.numel(), blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> largest(static_cast<std::size_t>(blocks)), formed;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t own = std::min(kBlock, count - b * kBlock);
    largest[static_cast<std::size_t>(b)] =
        flat.narrow(0, b * kBlock, own).abs().max().item<double>();
  }
  double mean = 0;
  for (const double one : largest) mean += one / static_cast<double>(blocks);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t block = i / kBlock, group = block / kGroup;
    double most = 0;
    for (std::int64_t b = group * kGroup; b < std::min(blocks, (group + 1) * kGroup); ++b) {
      most = std::max(most, std::abs(largest[static_cast<std::size_t>(b)] - mean));
    }
    const double own = largest[static_cast<std::size_t>(block)], step = most / 127;
    const double scale = step > 0 ? std::nearbyint((own - mean) / step) * step + mean : mean;
    const double share = own > 0 ? flat[i].item<double>() / own : 0;
    double nearest = values[0];
    for (const double value : values) {
      if (std::abs(value - share) < std::abs(nearest - share)) nearest = value;
    }
    formed.push_back(nearest * std::max(0.0, scale));
  }
  return formed;
}

TEST(Nf4, LikeItsDefinitionInFloat64) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 7}, {5, 64}, {48, 96}, {90, 190}}) {
    const at::Tensor weight = weight_of(rows, columns);
    const at::Tensor formed =
        dequantize(quantize(weight, WeightFormat::kNf4), at::kDouble).flatten();
    const auto expected = nf4_oracle(weight);
    const double largest = weight.abs().max().item<double>();
    for (std::int64_t i = 0; i < formed.numel(); ++i) {
      ASSERT_NEAR(formed[i].item<double>(), expected[static_cast<std::size_t>(i)], 1e-6 * largest)
          << rows << " x " << columns << ", element " << i;
    }
  }
}

// tests/reference/gen_quantized.py.
TEST(Nf4, ProducesTheReferenceValues) {
  const auto values = testing::read_tensors(std::filesystem::path(DISTILL_SOURCE_DIR) /
                                            "tests/reference/quantized.safetensors");
  const QuantizedMatrix q = quantize(values.at("weight"), WeightFormat::kNf4);
  EXPECT_TRUE(at::equal(q.codes, values.at("codes")));
  EXPECT_TRUE(at::equal(q.scales, values.at("scales")));
  ASSERT_EQ(q.steps.size(0), 2);
  EXPECT_LE((q.steps / values.at("steps") - 1).abs().max().item<double>(), 2e-7);
  EXPECT_NEAR(q.offset, values.at("offset").item<double>(), 2e-7 * q.offset);
  const at::Tensor& dense = values.at("dense");
  EXPECT_LE((dequantize(q, at::kDouble) - dense).abs().max().item<double>(),
            5e-7 * dense.abs().max().item<double>());
}

TEST(QuantizedMatrix, Int8AndFp8TakeTheNearestCodeOfEachRow) {
  const at::Tensor weight = weight_of(37, 131);
  const at::Tensor largest = std::get<0>(weight.to(at::kDouble).abs().max(1, true));
  const at::Tensor int8 = dequantize(quantize(weight, WeightFormat::kInt8), at::kDouble);
  const at::Tensor whole = (weight / largest * 127).round() * largest / 127;
  EXPECT_LE((int8 - whole).abs().max().item<double>(), 1e-6 * largest.max().item<double>());
  // LibTorch's own type for the numbers.
  const at::Tensor fp8 = dequantize(quantize(weight, WeightFormat::kFp8), at::kDouble);
  const at::Tensor scale = (largest / 448).to(at::kFloat);
  const at::Tensor theirs = (weight / scale).to(at::kFloat8_e4m3fn).to(at::kDouble) * scale;
  EXPECT_LE(((fp8 - theirs).abs() > 1e-6 * largest).sum().item<std::int64_t>(), 0);
}

TEST(QuantizedMatrix, EveryFp8NumberIsItself) {
  std::vector<float> numbers;
  for (int code = 0; code < 256; ++code) {
    const float value =
        c10::Float8_e4m3fn(static_cast<std::uint8_t>(code), c10::Float8_e4m3fn::from_bits());
    if (std::isfinite(value)) numbers.push_back(value);
  }
  ASSERT_EQ(numbers.size(), 254U);
  const at::Tensor row =
      at::from_blob(numbers.data(), {1, std::ssize(numbers)}, at::kFloat).clone();
  EXPECT_TRUE(at::equal(dequantize(quantize(row, WeightFormat::kFp8)), row));
}

/// The most that is lost of an element, relative to the largest of those that share its scale.
double bound_of(WeightFormat format) {
  switch (format) {
    case WeightFormat::kInt8:
      return 0.5 / 127 + 1e-6;
    case WeightFormat::kFp8:
      return 1.0 / 28 + 1e-6;  // half of the step between 416 and 448
    case WeightFormat::kNf4:
      return 0.16;  // half of the widest gap, and the scale's own error
  }
  return 0;
}

TEST(QuantizedMatrix, LosesNoMoreThanItsFormatMust) {
  for (const WeightFormat format : kFormats) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor weight = weight_of(64, 256, type);
      const QuantizedMatrix q = quantize(weight, format);
      EXPECT_EQ(q.dtype, type);
      EXPECT_EQ(dequantize(q).scalar_type(), type);
      const at::Tensor lost = (dequantize(q, at::kDouble) - weight.to(at::kDouble)).abs();
      const std::int64_t group = format == WeightFormat::kNf4 ? kBlock : 256;
      const at::Tensor largest =
          std::get<0>(weight.to(at::kDouble).abs().view({-1, group}).max(1, true));
      EXPECT_LE((lost.view({-1, group}) / largest).max().item<double>(), bound_of(format))
          << name_of(format);
      const QuantizationLoss loss = quantization_loss(weight, q);
      EXPECT_NEAR(loss.lost, lost.square().sum().item<double>(), 1e-6 * loss.lost);
      const double most[] = {0.008, 0.03, 0.10};
      EXPECT_LE(loss.relative(), most[static_cast<std::size_t>(format)]) << name_of(format);
      EXPECT_GE(loss.relative(), most[static_cast<std::size_t>(format)] / 3) << name_of(format);
    }
  }
}

TEST(QuantizedMatrix, ZerosAndNextToNothingBecomeZeros) {
  for (const WeightFormat format : kFormats) {
    at::Tensor weight = weight_of(6, 64);
    weight[1].zero_();
    weight[3].fill_(1e-38);
    const at::Tensor formed = dequantize(quantize(weight, format), at::kFloat);
    EXPECT_TRUE(at::isfinite(formed).all().item<bool>());
    EXPECT_EQ(formed[1].abs().max().item<float>(), 0) << name_of(format);
    EXPECT_LE(formed[3].abs().max().item<float>(), 1e-37) << name_of(format);
    const at::Tensor none = at::zeros({5, 9});
    EXPECT_TRUE(at::equal(dequantize(quantize(none, format)), none));
    EXPECT_EQ(quantization_loss(none, quantize(none, format)).relative(), 0);
  }
}

TEST(QuantizedMatrix, TakesAnyShape) {
  for (const WeightFormat format : kFormats) {
    for (const auto& [rows, columns] :
         {std::pair{0, 8}, {8, 0}, {1, 1}, {1, 65}, {7, 3}, {300, 129}}) {
      const at::Tensor weight = weight_of(rows, columns);
      const QuantizedMatrix q = quantize(weight, format);
      const at::Tensor formed = dequantize(q);
      EXPECT_EQ(formed.sizes(), weight.sizes());
      EXPECT_EQ(bytes(q), quantized_bytes(format, rows, columns)) << name_of(format) << rows;
      if (weight.numel() > 0) {
        EXPECT_LE((formed - weight).abs().max().item<double>(), 0.16 * 0.3);
      }
      // Not dense: as its copy.
      EXPECT_TRUE(at::equal(dequantize(quantize(weight.t(), format)),
                            dequantize(quantize(weight.t().contiguous(), format))));
    }
  }
}

TEST(QuantizedMatrix, BitsOfAWeight) {
  const double count = 512.0 * 4096;
  EXPECT_NEAR(8.0 * static_cast<double>(quantized_bytes(WeightFormat::kNf4, 512, 4096)) / count,
              4 + 8.0 / 64 + 32.0 / (64 * 256), 1e-9);
  EXPECT_EQ(quantized_bytes(WeightFormat::kInt8, 512, 4096), 512U * 4096 + 4 * 512);
  const std::int64_t huge = std::int64_t{1} << 40;
  EXPECT_GE(quantized_bytes(WeightFormat::kNf4, huge, huge), std::uint64_t{1} << 59);
}

TEST(QuantizedMatrix, ThreadsChangeNoBit) {
  const int threads = at::get_num_threads();
  for (const WeightFormat format : kFormats) {
    const at::Tensor weight = weight_of(301, 190, at::kBFloat16);
    at::set_num_threads(1);
    const QuantizedMatrix one = quantize(weight, format);
    const at::Tensor formed = dequantize(one);
    at::set_num_threads(4);
    const QuantizedMatrix four = quantize(weight, format);
    EXPECT_TRUE(at::equal(one.codes.view(at::kByte), four.codes.view(at::kByte)));
    EXPECT_TRUE(at::equal(one.scales, four.scales));
    EXPECT_EQ(one.offset, four.offset);
    EXPECT_TRUE(at::equal(dequantize(four), formed));
  }
  at::set_num_threads(threads);
}

TEST(QuantizedMatrix, RefusesWhatHasNoCode) {
  for (const WeightFormat format : kFormats) {
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
      for (const auto type : {at::kFloat, at::kBFloat16}) {
        at::Tensor weight = weight_of(9, 70, type);
        weight[8][69] = bad;
        EXPECT_THROW(quantize(weight, format), c10::Error) << name_of(format);
      }
    }
    EXPECT_THROW(quantize(weight_of(2, 2, at::kDouble), format), c10::Error);
    EXPECT_THROW(quantize(at::zeros({4}), format), c10::Error);
    EXPECT_THROW(quantize({}, format), c10::Error);
  }
}

// Every instruction set gives the same bits, for odd beginnings and ends too.
TEST(QuantizedKernels, AgreeToTheBit) {
  const at::Tensor weight = weight_of(3, 500);
  const auto* x = weight.const_data_ptr<float>();
  const QuantizedMatrix q = quantize(weight, WeightFormat::kNf4);
  const cpu::Nf4Codes codes{q.codes.const_data_ptr<std::uint8_t>(),
                            q.scales.const_data_ptr<std::int8_t>(), q.steps.const_data_ptr<float>(),
                            q.offset};
  const auto& plain = cpu::kernels_for(cpu::Isa::kPortable);
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const auto& own = cpu::kernels_for(isa);
    for (const std::int64_t n : {1, 5, 17, 63, 64}) {
      std::array<std::uint8_t, 64> a{}, b{};
      const auto same = [&](const char* what) { EXPECT_EQ(a, b) << what << " " << n; };
      EXPECT_EQ(own.quantize.largest(x, n), plain.quantize.largest(x, n));
      own.quantize.nf4(x, 5.0F, a.data(), n), plain.quantize.nf4(x, 5.0F, b.data(), n);
      same("nf4");
      own.quantize.fp8(x, 700.0F, a.data(), n), plain.quantize.fp8(x, 700.0F, b.data(), n);
      same("fp8");
      own.quantize.int8(x, 400.0F, reinterpret_cast<std::int8_t*>(a.data()), n);
      plain.quantize.int8(x, 400.0F, reinterpret_cast<std::int8_t*>(b.data()), n);
      same("int8");
    }
    for (const auto& [first, n] : {std::pair{0, 1500}, {1, 3}, {63, 2}, {65, 700}, {1499, 1}}) {
      std::vector<float> a(1500), b(1500);
      own.dequantize_f32.nf4(codes, first, a.data(), n);
      plain.dequantize_f32.nf4(codes, first, b.data(), n);
      EXPECT_EQ(a, b) << first << " " << n;
    }
    std::vector<std::uint8_t> all(256);
    for (int i = 0; i < 256; ++i) all[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i);
    all[0x7f] = all[0xff] = 0;  // not numbers, never made
    std::vector<std::uint16_t> a(256), b(256);
    own.dequantize_bf16.fp8(all.data(), 0.37F, reinterpret_cast<cpu::Bf16*>(a.data()), 256);
    plain.dequantize_bf16.fp8(all.data(), 0.37F, reinterpret_cast<cpu::Bf16*>(b.data()), 256);
    EXPECT_EQ(a, b);
  }
}

}  // namespace
}  // namespace distill::ops
