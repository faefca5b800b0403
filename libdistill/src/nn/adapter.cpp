#include <distill/nn/adapter.h>

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

namespace distill::nn {

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
  return sum * (magnitude / at::linalg_vector_norm(sum, 2, {1})).unsqueeze(1);
}

at::Tensor Adapter::row_lengths(const at::Tensor& weight) const {
  const c10::NoGradGuard no_graph;
  // |w + s b A|^2 = |w|^2 + 2 s b (A w) + s^2 b (A A^T) b: nothing of W's size is formed in fp32.
  const at::Tensor own = at::linalg_vector_norm(weight, 2, {1}, false, at::kFloat).square();
  const at::Tensor mixed = at::linear(weight, a.to(weight.scalar_type())).to(at::kFloat);
  const at::Tensor cross = (mixed * b).sum(1), change = (at::mm(b, at::mm(a, a.t())) * b).sum(1);
  return (own + cross * (2 * options.scale()) + change * (options.scale() * options.scale()))
      .sqrt();
}

}  // namespace distill::nn
