// A bf16 linear layer with an adapter beside the frozen layer alone, in one run.
//   low_rank_bench [--rows N] [--rounds N] [--rank R] [--dropout P]
// Prints, for each layer of SmolLM2-135M's kinds, GFLOP/s of the frozen layer (forward, and its
// input's gradient) and what the adapter adds to its time; then what is saved where layers of one
// input are formed together.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/randn.h>
#include <torch/csrc/autograd/autograd.h>

#include <distill/ops/linear.h>
#include <distill/ops/low_rank_linear.h>

#include "timing.h"

namespace {

using distill::bench::median;
using distill::bench::seconds_of;

struct Settings {
  std::int64_t rows = 2048, rank = 16;
  int rounds = 15;
  double dropout = 0;
};

void compare(const Settings& s, std::int64_t in, std::int64_t out) {
  const at::Tensor x = at::randn({s.rows, in}).to(at::kBFloat16).requires_grad_(true);
  const at::Tensor weight = at::randn({out, in}).to(at::kBFloat16);
  const at::Tensor grad = at::randn({s.rows, out}).to(at::kBFloat16);
  const at::Tensor a = at::randn({s.rank, in}).requires_grad_(true);
  const at::Tensor b = at::randn({out, s.rank}).requires_grad_(true);
  std::vector<double> times[4];
  for (int round = -1; round < s.rounds; ++round) {
    for (const bool adapted : {false, true}) {
      at::Tensor y;
      const double there = seconds_of([&] {
        y = adapted ? distill::ops::low_rank_linear(x, weight, {}, {a, b, 2.0, {s.dropout, 1}})
                    : distill::ops::linear(x, weight, at::Tensor());
      });
      const double back = seconds_of([&] { y.backward(grad); });
      for (const at::Tensor& leaf : {x, a, b}) leaf.mutable_grad().reset();
      if (round < 0) continue;  // sets up
      times[adapted ? 2 : 0].push_back(there);
      times[adapted ? 3 : 1].push_back(back);
    }
  }
  const double flops = 2.0 * static_cast<double>(s.rows * in * out) * 1e-9;
  const double base[] = {median(times[0]), median(times[1])};
  const double own[] = {median(times[2]), median(times[3])};
  std::printf(
      "[%4lld, %4lld]  forward %6.1f GFLOP/s, with adapter x %.2f   backward %6.1f, x %.2f\n",
      static_cast<long long>(out), static_cast<long long>(in), flops / base[0], own[0] / base[0],
      flops / base[1], own[1] / base[1]);
}

/// Forward and backward of several layers of one x with adapters, one by one and together.
void compare_together(const Settings& s, std::int64_t in, const std::vector<std::int64_t>& outs,
                      const char* name) {
  const at::Tensor x = at::randn({s.rows, in}).to(at::kBFloat16).requires_grad_(true);
  std::vector<distill::ops::FrozenLinear> layers;
  std::vector<at::Tensor> grads, leaves = {x};
  for (const std::int64_t out : outs) {
    leaves.push_back(at::randn({s.rank, in}).requires_grad_(true));
    leaves.push_back(at::randn({out, s.rank}).requires_grad_(true));
    layers.push_back(
        {at::randn({out, in}).to(at::kBFloat16),
         {},
         distill::ops::LowRank{
             leaves[leaves.size() - 2], leaves.back(), 2.0, {s.dropout, layers.size()}}});
    grads.push_back(at::randn({s.rows, out}).to(at::kBFloat16));
  }
  std::vector<double> times[2];
  for (int round = -1; round < s.rounds; ++round) {
    for (const bool together : {false, true}) {
      const double seconds = seconds_of([&] {
        std::vector<at::Tensor> results;
        if (together) {
          results = distill::ops::low_rank_linears(x, layers);
        } else {
          for (const auto& layer : layers) {
            results.push_back(distill::ops::low_rank_linears(x, {layer})[0]);
          }
        }
        torch::autograd::backward(results, grads);
      });
      for (const at::Tensor& leaf : leaves) leaf.mutable_grad().reset();
      if (round >= 0) times[together ? 1 : 0].push_back(seconds);
    }
  }
  const double apart = median(times[0]);
  std::printf("%-12s  forward and backward %6.2f ms one by one, together x %.2f\n", name,
              apart * 1e3, median(times[1]) / apart);
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--rows") == 0) settings.rows = std::atoll(argv[i + 1]);
    if (std::strcmp(argv[i], "--rounds") == 0) settings.rounds = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--rank") == 0) settings.rank = std::atoll(argv[i + 1]);
    if (std::strcmp(argv[i], "--dropout") == 0) settings.dropout = std::atof(argv[i + 1]);
  }
  std::printf("bf16, %d threads, %lld rows, rank %lld\n", at::get_num_threads(),
              static_cast<long long>(settings.rows), static_cast<long long>(settings.rank));
  for (const auto& [in, out] :
       {std::pair<std::int64_t, std::int64_t>{576, 576}, {576, 192}, {576, 1536}, {1536, 576}}) {
    compare(settings, in, out);
  }
  compare_together(settings, 576, {576, 192, 192}, "q, k, v");
  compare_together(settings, 576, {1536, 1536}, "gate, up");
  return 0;
}
