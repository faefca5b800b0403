// A frozen linear layer with its weight dense and in few bits, with and without an adapter.
//   quantized_bench [--rows N] [--rounds N] [IN OUT]...
// Prints, for each format, milliseconds of forward and backward and of one row in generation, and
// what they are beside the dense layer's in the same rounds.
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <distill/ops/linear.h>
#include <distill/ops/low_rank_linear.h>

#include "layer_arguments.h"
#include "timing.h"

namespace {

using distill::bench::median;
using distill::ops::LowRank;
using distill::ops::QuantizedMatrix;
using distill::ops::WeightFormat;

double milliseconds_of(const auto& body) {
  return 1e3 * distill::bench::seconds_of(body);
}

struct Layer {
  const char* name;
  std::optional<QuantizedMatrix> codes = {};  ///< nothing: dense
  std::vector<double> forward = {}, backward = {}, changed = {}, row = {};
};

void run(Layer& layer, const at::Tensor& x, const at::Tensor& weight, const LowRank& change,
         const at::Tensor& grad, bool counts) {
  const auto plain = [&](const at::Tensor& in) {
    return layer.codes ? distill::ops::linear(in, *layer.codes, {})
                       : distill::ops::linear(in, weight, at::Tensor());
  };
  const auto changed = [&](const at::Tensor& in) {
    return layer.codes ? distill::ops::low_rank_linear(in, *layer.codes, {}, change)
                       : distill::ops::low_rank_linear(in, weight, {}, change);
  };
  at::Tensor y;
  const double there = milliseconds_of([&] { y = plain(x); });
  const double back = milliseconds_of([&] { y.backward(grad); });
  const double both = milliseconds_of([&] { changed(x).backward(grad); });
  constexpr int kTimes = 10;
  const at::Tensor one = x.detach().narrow(0, 0, 1);
  const double row = milliseconds_of([&] {
    const c10::InferenceMode generating;
    for (int i = 0; i < kTimes; ++i) plain(one);
  });
  x.mutable_grad().reset();
  if (!counts) return;
  layer.forward.push_back(there);
  layer.backward.push_back(back);
  layer.changed.push_back(both);
  layer.row.push_back(row / kTimes);
}

void compare(std::int64_t rows, std::int64_t in, std::int64_t out, int rounds) {
  const at::Tensor x = at::randn({rows, in}).to(at::kBFloat16).requires_grad_(true);
  const at::Tensor weight = (at::randn({out, in}) * 0.05).to(at::kBFloat16);
  const at::Tensor grad = at::randn({rows, out}).to(at::kBFloat16);
  const LowRank change{(at::randn({16, in}) * 0.05).requires_grad_(true),
                       (at::randn({out, 16}) * 0.05).requires_grad_(true),
                       2.0,
                       {}};
  std::vector<Layer> layers(1, Layer{.name = "bf16"});
  for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kFp8, WeightFormat::kNf4}) {
    layers.push_back({.name = distill::ops::name_of(format).data(),
                      .codes = distill::ops::quantize(weight, format)});
  }
  for (int round = -1; round < rounds; ++round) {
    for (Layer& layer : layers) run(layer, x, weight, change, grad, round >= 0);
  }
  std::printf("[%lld, %lld] x [%lld, %lld]^T\n", static_cast<long long>(rows),
              static_cast<long long>(in), static_cast<long long>(out), static_cast<long long>(in));
  const Layer& dense = layers.front();
  for (const Layer& layer : layers) {
    std::printf("  %-5s", layer.name);
    for (const auto part : {&Layer::forward, &Layer::backward, &Layer::changed, &Layer::row}) {
      const double own = median(layer.*part);
      std::printf("  %8.3f ms (%.2f)", own, own / median(dense.*part));
    }
    const double bytes = layer.codes ? static_cast<double>(distill::ops::bytes(*layer.codes))
                                     : static_cast<double>(weight.nbytes());
    std::printf("  %8.1f KiB\n", bytes / 1024);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto [rows, rounds, shapes] =
      distill::bench::layer_arguments(argc, argv, {{576, 1536}, {2048, 8192}});
  std::printf("%d threads; forward, backward, both with an adapter of rank 16, one row\n",
              at::get_num_threads());
  for (const auto& [in, out] : shapes) compare(rows, in, out, rounds);
  return 0;
}
