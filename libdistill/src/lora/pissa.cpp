#include "lora/pissa.h"

#include <algorithm>
#include <tuple>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

namespace distill::lora {

namespace {

/// Directions beyond the rank, and passes over the matrix, that make the projection as good as the
/// whole decomposition for what is kept.
constexpr std::int64_t kMore = 16;
constexpr int kPasses = 6;

at::Tensor orthonormal(const at::Tensor& columns) {
  return std::get<0>(at::linalg_qr(columns));
}

}  // namespace

void take_principal_part(at::Tensor& weight, nn::Adapter& adapter, std::uint64_t seed) {
  const std::int64_t rank = adapter.options.rank;
  const double scale = adapter.options.scale();
  const at::Tensor w = weight.to(at::kCPU, at::kFloat);
  const std::int64_t width = std::min({rank + kMore, w.size(0), w.size(1)});
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  at::Tensor span = orthonormal(at::mm(w, at::randn({w.size(1), width}, generator, w.options())));
  for (int pass = 0; pass < kPasses; ++pass) {
    span = orthonormal(at::mm(w, orthonormal(at::mm(w.t(), span))));
  }
  const auto [u, s, v] = at::linalg_svd(at::mm(span.t(), w), /*full_matrices=*/false);
  const at::Tensor roots = (s.narrow(0, 0, rank) / scale).sqrt();
  adapter.a = (v.narrow(0, 0, rank) * roots.unsqueeze(1)).contiguous();
  adapter.b = (at::mm(span, u.narrow(1, 0, rank)) * roots).contiguous();
  adapter.start_a = adapter.a.clone();
  adapter.start_b = adapter.b.clone();
  weight.copy_(w - at::mm(adapter.b, adapter.a) * scale);
}

}  // namespace distill::lora
