#include "ops/nf4_scales.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ops/empty.h>

#include "ops/cpu/quantized_codes.h"
#include "ops/kernel_call.h"

namespace distill::ops {

void quantize_scales(const std::vector<float>& scales, QuantizedMatrix& out) {
  constexpr std::int64_t kGroup = cpu::kNf4Steps;
  constexpr double kMost = 127;
  const std::int64_t count = std::ssize(scales), groups = (count + kGroup - 1) / kGroup;
  const double sum = std::accumulate(scales.begin(), scales.end(), 0.0);
  out.offset = count == 0 ? 0.0F : static_cast<float>(sum / static_cast<double>(count));
  out.scales = at::empty({count}, at::kChar);
  out.steps = at::empty({groups}, at::kFloat);
  auto* codes = write<std::int8_t>(out.scales);
  auto* steps = write<float>(out.steps);
  const auto apart = [&](std::int64_t block) {
    return static_cast<double>(scales[static_cast<std::size_t>(block)]) -
           static_cast<double>(out.offset);
  };
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t first = group * kGroup, last = std::min(count, first + kGroup);
    double most = 0;
    for (std::int64_t block = first; block < last; ++block) {
      most = std::max(most, std::abs(apart(block)));
    }
    steps[group] = static_cast<float>(most / kMost);
    const auto step = static_cast<double>(steps[group]);
    for (std::int64_t block = first; block < last; ++block) {
      const double whole = step > 0 ? std::nearbyint(apart(block) / step) : 0;
      codes[block] = static_cast<std::int8_t>(std::clamp(whole, -kMost, kMost));
    }
  }
}

}  // namespace distill::ops
