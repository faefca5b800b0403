#include <distill/lora/initialise.h>

#include <cmath>
#include <numbers>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>
#include <distill/core/random.h>

#include "lora/pissa.h"

namespace distill::lora {

namespace {

/// So that adapters begin otherwise than anything else of a run's seed.
constexpr std::uint64_t kStream = 0x10a4'0000;

at::Tensor filled(at::IntArrayRef shape, const std::function<double()>& next) {
  at::Tensor out = at::empty(shape, at::kFloat);
  auto* values = out.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < out.numel(); ++i) values[i] = static_cast<float>(next());
  return out;
}

at::Tensor uniform(at::IntArrayRef shape, double bound, core::RandomState& random) {
  return filled(shape, [&] { return (2 * random.uniform() - 1) * bound; });
}

/// By Box and Muller.
at::Tensor normal(at::IntArrayRef shape, double deviation, core::RandomState& random) {
  return filled(shape, [&] {
    const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
    return deviation * radius * std::cos(2 * std::numbers::pi * random.uniform());
  });
}

void begin(const models::NamedAdapter& named, Init init, core::RandomState& random) {
  const auto& site = named.site;
  nn::Adapter& adapter = *named.adapter;
  const std::int64_t rank = adapter.options.rank;
  if (init == Init::kPissa) {
    take_principal_part(*named.weight, adapter, random.next());
  } else if (site.embedding) {
    adapter.a = at::zeros({rank, site.in}, at::kFloat);
    adapter.b = normal({site.out, rank}, 1.0, random);
  } else {
    const double width = static_cast<double>(init == Init::kKaiming ? site.in : rank);
    adapter.a = init == Init::kKaiming ? uniform({rank, site.in}, 1 / std::sqrt(width), random)
                                       : normal({rank, site.in}, 1 / width, random);
    adapter.b = at::zeros({site.out, rank}, at::kFloat);
  }
  const at::Device device = named.device();
  for (at::Tensor* tensor : {&adapter.a, &adapter.b, &adapter.start_a, &adapter.start_b}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  if (adapter.options.dora) {
    const at::Tensor matrix = named.matrix();
    adapter.magnitude = adapter.row_lengths(site.embedding ? matrix.t() : matrix);
  }
  for (at::Tensor* tensor : {&adapter.a, &adapter.b, &adapter.magnitude}) {
    if (tensor->defined()) tensor->set_requires_grad(true);
  }
}

}  // namespace

void initialise(models::CausalLm& model, Init init, std::uint64_t seed) {
  const c10::NoGradGuard no_graph;
  for (const models::NamedAdapter& named : model.adapters()) {
    if (init == Init::kPissa && named.quantized != nullptr) {
      fail<ConfigError>("init: `pissa` takes a part out of the weights, and those of `",
                        named.site.module, "` are quantised; use kaiming or gaussian");
    }
    if (init == Init::kPissa && named.site.embedding) {
      fail<ConfigError>("init: `pissa` is not done for the embedding `", named.site.module,
                        "`; leave it out of the targets");
    }
    core::RandomState random(seed, kStream + named.adapter->number);
    begin(named, init, random);
  }
}

}  // namespace distill::lora
