// A bf16 linear layer with an adapter beside the frozen layer alone, in one run.
//   low_rank_bench [--rows N] [--rounds N] [--rank R] [--dropout P]
// Prints, for each layer of SmolLM2-135M's kinds, GFLOP/s of the frozen layer (forward, and its
// input's gradient) and what the adapter adds to its time.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/randn.h>

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
  return 0;
}
