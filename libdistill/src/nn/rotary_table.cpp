#include <distill/nn/rotary_table.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
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

/// Yarn blends between two pair indices: those whose frequencies make beta_fast and beta_slow turns
/// in the old context.
struct YarnRamp {
  double begin = 0.0;
  double end = 1.0;

  YarnRamp(std::int64_t head_dim, const RopeOptions& options) {
    const auto dim = static_cast<double>(head_dim);
    const auto pair_with_turns = [&](double turns) {
      return dim * std::log(options.original_positions / (turns * 2.0 * std::numbers::pi)) /
             (2.0 * std::log(options.theta));
    };
    begin = pair_with_turns(options.beta_fast);
    end = pair_with_turns(options.beta_slow);
    if (options.truncate) {
      begin = std::floor(begin);
      end = std::ceil(end);
    }
    begin = std::max(begin, 0.0);
    end = std::min(end, dim - 1.0);
    if (begin == end) end += 0.001;
  }

  double stretch(double frequency, std::int64_t pair, double factor) const {
    const double divide = std::clamp((static_cast<double>(pair) - begin) / (end - begin), 0.0, 1.0);
    return frequency * (1.0 - divide + divide / factor);
  }
};

/// Dynamic: the base that puts a sequence of `length` into the range of frequencies that the old
/// context had.
double stretched_theta(std::int64_t head_dim, const RopeOptions& options, std::int64_t length) {
  const auto dim = static_cast<double>(head_dim);
  const double ratio = std::max(static_cast<double>(length) / options.original_positions, 1.0);
  return options.theta *
         std::pow(options.factor * ratio - (options.factor - 1.0), dim / (dim - 2.0));
}

}  // namespace

at::Tensor inverse_frequencies(std::int64_t head_dim, const RopeOptions& options,
                               std::int64_t length) {
  at::Tensor result = at::empty({head_dim / 2}, at::kDouble);
  auto* values = result.mutable_data_ptr<double>();
  const double theta = options.type == RopeType::kDynamic
                           ? stretched_theta(head_dim, options, length)
                           : options.theta;
  const YarnRamp ramp(head_dim, options);
  for (std::int64_t i = 0; i < head_dim / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double frequency = std::pow(theta, -exponent);
    switch (options.type) {
      case RopeType::kDefault:
      case RopeType::kDynamic:
        values[i] = frequency;
        break;
      case RopeType::kLinear:
        values[i] = frequency / options.factor;
        break;
      case RopeType::kLlama3:
        values[i] = stretch_llama3(frequency, options);
        break;
      case RopeType::kYarn:
        values[i] = ramp.stretch(frequency, i, options.factor);
        break;
    }
  }
  return result;
}

RotaryTable rotary_table(const at::Tensor& inverse_frequencies, const at::Tensor& positions,
                         double attention_factor) {
  const at::Tensor angles =
      positions.to(at::kDouble).unsqueeze(1) * inverse_frequencies.to(positions.device());
  at::Tensor cos = at::cos(angles), sin = at::sin(angles);
  if (attention_factor != 1.0) {
    cos = cos * attention_factor;
    sin = sin * attention_factor;
  }
  return {cos.to(at::kFloat), sin.to(at::kFloat)};
}

RotaryTables::RotaryTables(std::int64_t head_dim, const RopeOptions& options)
    : head_dim_(head_dim),
      options_(options),
      frequencies_(inverse_frequencies(head_dim, options)) {}

RotaryTable RotaryTables::rows(const at::Tensor& positions,
                               std::span<const std::int64_t> segments) const {
  if (options_.type != RopeType::kDynamic) {
    return rotary_table(frequencies_, positions, options_.attention_factor);
  }
  std::vector<at::Tensor> cos, sin;
  for (std::size_t s = 1; s < segments.size(); ++s) {
    const std::int64_t count = segments[s] - segments[s - 1];
    if (count == 0) continue;
    const at::Tensor own = positions.narrow(0, segments[s - 1], count);
    const std::int64_t length = own.max().item<std::int64_t>() + 1;
    const RotaryTable table = rotary_table(inverse_frequencies(head_dim_, options_, length), own);
    cos.push_back(table.cos);
    sin.push_back(table.sin);
  }
  if (cos.empty()) return rotary_table(frequencies_, positions);
  return {at::cat(cos), at::cat(sin)};
}

}  // namespace distill::nn
