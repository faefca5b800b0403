// The three products of a bf16 linear layer beside at::linear's, in one run.
//   linear_bench [--rows N] [--rounds N] [IN OUT]...
// Prints, for each layer, GFLOP/s of both and the ratio of their times, forward and backward.
#include <cstdio>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <c10/core/GradMode.h>

#include <distill/ops/linear.h>

#include "layer_arguments.h"
#include "timing.h"

namespace {

using distill::bench::median;
using distill::bench::seconds_of;

struct Times {
  std::vector<double> ours, theirs;
  void print(const char* name, double flops) const {
    const double own = median(ours), other = median(theirs);
    std::printf("  %-9s %7.1f %7.1f GFLOP/s, ratio of times %.3f\n", name, flops / own * 1e-9,
                flops / other * 1e-9, own / other);
  }
};

void compare(std::int64_t rows, std::int64_t in, std::int64_t out, int rounds) {
  const at::Tensor x = at::randn({rows, in}).to(at::kBFloat16).requires_grad_(true);
  const at::Tensor weight = at::randn({out, in}).to(at::kBFloat16).requires_grad_(true);
  const at::Tensor grad = at::randn({rows, out}).to(at::kBFloat16);
  Times forward, backward;
  for (int round = -1; round < rounds; ++round) {
    for (const bool own : {true, false}) {
      at::Tensor y;
      const double there = seconds_of(
          [&] { y = own ? distill::ops::linear(x, weight, at::Tensor()) : at::linear(x, weight); });
      const double back = seconds_of([&] { y.backward(grad); });
      x.mutable_grad().reset();
      weight.mutable_grad().reset();
      if (round < 0) continue;  // sets up
      (own ? forward.ours : forward.theirs).push_back(there);
      (own ? backward.ours : backward.theirs).push_back(back);
    }
  }
  const double flops = 2.0 * static_cast<double>(rows * in * out);
  std::printf("[%lld, %lld] x [%lld, %lld]^T\n", static_cast<long long>(rows),
              static_cast<long long>(in), static_cast<long long>(out), static_cast<long long>(in));
  forward.print("forward", flops);
  backward.print("backward", 2 * flops);
}

}  // namespace

int main(int argc, char** argv) {
  const auto [rows, rounds, shapes] = distill::bench::layer_arguments(
      argc, argv, {{576, 576}, {576, 192}, {576, 1536}, {1536, 576}});
  std::printf("bf16, %d threads; ours, at::linear\n", at::get_num_threads());
  for (const auto& [in, out] : shapes) compare(rows, in, out, rounds);
  return 0;
}
