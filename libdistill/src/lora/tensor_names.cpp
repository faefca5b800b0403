#include "lora/tensor_names.h"

#include <distill/lora/initialise.h>

namespace distill::lora {

std::vector<AdapterTensor> adapter_tensors(const models::AdapterSite& site,
                                           const nn::AdapterOptions& options) {
  const bool embedding = site.embedding;
  std::vector<AdapterTensor> tensors = {{embedding ? ".lora_embedding_A" : ".lora_A.weight",
                                         &nn::Adapter::a,
                                         {options.rank, site.in}},
                                        {embedding ? ".lora_embedding_B" : ".lora_B.weight",
                                         &nn::Adapter::b,
                                         {site.out, options.rank}}};
  if (options.dora) {
    tensors.push_back({".lora_magnitude_vector", &nn::Adapter::magnitude, {site.out}});
  }
  return tensors;
}

std::vector<models::NamedParameter> parameters(models::CausalLm& model) {
  std::vector<models::NamedParameter> result;
  for (const models::NamedAdapter& named : model.adapters()) {
    for (const AdapterTensor& tensor : adapter_tensors(named.site, named.adapter->options)) {
      result.push_back({named.site.module + tensor.suffix, named.adapter->*tensor.member});
    }
  }
  return result;
}

}  // namespace distill::lora
