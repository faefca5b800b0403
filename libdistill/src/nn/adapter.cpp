#include <distill/nn/adapter.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

namespace distill::nn {

namespace {

/// A row of zeros has no direction; its length, which is divided by, is taken for this.
constexpr double kShortest = 1e-15;

/// |w|^2 of each row, some rows at a time: what LibTorch sums it copies to fp32 first.
at::Tensor squared_lengths(const at::Tensor& weight) {
  constexpr std::int64_t kElements = std::int64_t{1} << 20;
  const std::int64_t at_once = std::max<std::int64_t>(1, kElements / weight.size(1));
  std::vector<at::Tensor> parts;
  for (std::int64_t row = 0; row < weight.size(0); row += at_once) {
    const at::Tensor part = weight.narrow(0, row, std::min(at_once, weight.size(0) - row));
    parts.push_back(at::linalg_vector_norm(part, 2, {1}, false, at::kFloat).square());
  }
  return at::cat(parts);
}

}  // namespace

double AdapterOptions::scale() const {
  const auto width = static_cast<double>(rank);
  return alpha / (rslora ? std::sqrt(width) : width);
}

Adapter Adapter::at_start() const {
  Adapter start;
  start.options = options;
  start.options.dropout = 0;
  start.a = start_a;
  start.b = start_b;
  return start;
}

ops::LowRank Adapter::change() const {
  ops::LowRank change{a, b, options.scale(), {}};
  if (options.dropout > 0 && shared != nullptr && shared->dropout_seed) {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL;  // spreads the numbers over 64 bits
    change.dropout = {options.dropout, *shared->dropout_seed + (number + 1) * kOdd};
  }
  return change;
}

at::Tensor Adapter::merged(const at::Tensor& weight) const {
  const c10::NoGradGuard no_graph;
  const at::Tensor sum = weight.to(at::kFloat) + at::mm(b, a) * options.scale();
  if (!magnitude.defined()) return sum;
  const at::Tensor lengths = at::linalg_vector_norm(sum, 2, {1}).clamp_min(kShortest);
  return sum * (magnitude / lengths).unsqueeze(1);
}

at::Tensor Adapter::row_lengths(const at::Tensor& weight) const {
  const c10::NoGradGuard no_graph;
  // |w + s b A|^2 = |w|^2 + 2 s b (A w) + s^2 b (A A^T) b: nothing of W's size is formed in fp32.
  const at::Tensor own = squared_lengths(weight);
  const at::Tensor mixed = at::linear(weight, a.to(weight.scalar_type())).to(at::kFloat);
  const at::Tensor cross = (mixed * b).sum(1), change = (at::mm(b, at::mm(a, a.t())) * b).sum(1);
  const double scale = options.scale();
  return (own + cross * (2 * scale) + change * (scale * scale))
      .clamp_min(kShortest * kShortest)
      .sqrt();
}

}  // namespace distill::nn
