#include <distill/nn/rotary_table.h>

#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sin.h>

namespace distill::nn {

namespace {

/// Llama 3.1: wavelengths that did not fit `high_freq_factor` times into the old context are
/// stretched, fully when they did not fit `low_freq_factor` times.
double stretch_llama3(double frequency, const RopeOptions& options) {
  const double turns = options.original_positions * frequency / (2.0 * std::numbers::pi);
  if (turns > options.high_freq_factor) return frequency;
  if (turns < options.low_freq_factor) return frequency / options.factor;
  const double keep =
      (turns - options.low_freq_factor) / (options.high_freq_factor - options.low_freq_factor);
  return frequency * (keep + (1.0 - keep) / options.factor);
}

}  // namespace

at::Tensor inverse_frequencies(std::int64_t head_dim, const RopeOptions& options) {
  at::Tensor result = at::empty({head_dim / 2}, at::kDouble);
  auto* values = result.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double frequency = std::pow(options.theta, -exponent);
    switch (options.type) {
      case RopeType::kDefault:
        values[i] = frequency;
        break;
      case RopeType::kLinear:
        values[i] = frequency / options.factor;
        break;
      case RopeType::kLlama3:
        values[i] = stretch_llama3(frequency, options);
        break;
    }
  }
  return result;
}

RotaryTable rotary_table(const at::Tensor& inverse_frequencies, const at::Tensor& positions) {
  const at::Tensor angles =
      positions.to(at::kDouble).unsqueeze(1) * inverse_frequencies.to(positions.device());
  return {at::cos(angles).to(at::kFloat), at::sin(angles).to(at::kFloat)};
}

}  // namespace distill::nn
