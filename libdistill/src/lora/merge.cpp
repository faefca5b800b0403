#include <distill/lora/merge.h>

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

#include <distill/core/error.h>

namespace distill::lora {

namespace {

bool has_own_head(const models::CausalLm& model) {
  const auto parameters = model.parameters();
  return std::any_of(parameters.begin(), parameters.end(),
                     [](const auto& parameter) { return parameter.name == "lm_head.weight"; });
}

/// Before any weight is changed.
void check_dense(models::CausalLm& model) {
  for (const models::NamedAdapter& named : model.adapters()) {
    if (named.quantized == nullptr) continue;
    fail<UnsupportedError>("`", named.site.module,
                           "`: its adapter cannot be merged into a quantised weight; load the "
                           "base without quantising it");
  }
}

}  // namespace

void merge(models::CausalLm& model) {
  const c10::NoGradGuard no_graph;
  check_dense(model);
  for (const models::NamedAdapter& named : model.adapters()) {
    const bool embedding = named.site.embedding;
    if (embedding && !has_own_head(model)) {
      fail<UnsupportedError>("`", named.site.module,
                             "`: its adapter cannot be merged, the embedding is the head too and "
                             "logits would change with it; use base and adapter side by side");
    }
    const at::Tensor& weight = *named.weight;
    const at::Tensor sum = named.adapter->merged(embedding ? weight.t() : weight);
    *named.weight = (embedding ? sum.t() : sum).to(weight.scalar_type()).contiguous();
  }
  model.remove_adapters();
}

}  // namespace distill::lora
