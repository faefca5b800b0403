#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "models/decoder/decoder.h"
#include "models/decoder/hf_names.h"

namespace distill::models::decoder {

namespace {

AdapterSite site_of(const ParameterSlot& slot) {
  constexpr std::string_view kSuffix = ".weight";
  const std::string name = slot.name();
  const bool embedding = name == kEmbeddingName;
  AdapterSite site;
  site.module = name.substr(0, name.size() - kSuffix.size());
  site.out = slot.shape[embedding ? 1 : 0];
  site.in = slot.shape[embedding ? 0 : 1];
  site.embedding = embedding;
  site.routed_expert = slot.routed_expert;
  return site;
}

}  // namespace

std::vector<AdapterSite> Decoder::adapter_sites() const {
  std::vector<AdapterSite> sites;
  for (const ParameterSlot& slot : slots_) {
    if (slot.adapter != nullptr) sites.push_back(site_of(slot));
  }
  return sites;
}

void Decoder::add_adapters(const AdapterChoice& chosen) {
  adapter_switch_ = std::make_shared<nn::AdapterSwitch>();
  std::uint64_t number = 0, placed = 0;
  for (const ParameterSlot& slot : slots_) {
    if (slot.adapter == nullptr) continue;
    const auto found = chosen.find(site_of(slot).module);
    if (found != chosen.end()) {
      nn::Adapter& adapter = slot.adapter->emplace();
      adapter.options = found->second;
      adapter.number = number;
      adapter.shared = adapter_switch_;
      ++placed;
    }
    ++number;
  }
  if (placed == chosen.size()) return;
  std::vector<std::string> modules;
  for (const AdapterSite& site : adapter_sites()) modules.push_back(site.module);
  for (const auto& [module, options] : chosen) {
    if (std::find(modules.begin(), modules.end(), module) != modules.end()) continue;
    fail<ConfigError>("no layer `", core::printable(module), "` that can have an adapter",
                      core::did_you_mean(module, modules));
  }
}

void Decoder::remove_adapters() {
  for (const ParameterSlot& slot : slots_) {
    if (slot.adapter != nullptr) slot.adapter->reset();
  }
  adapter_switch_ = nullptr;
}

std::vector<NamedAdapter> Decoder::adapters() {
  std::vector<NamedAdapter> result;
  for (const ParameterSlot& slot : slots_) {
    if (slot.adapter == nullptr || !*slot.adapter) continue;
    const bool quantized = slot.quantized != nullptr && *slot.quantized;
    result.push_back(
        {site_of(slot), &**slot.adapter, slot.tensor, quantized ? &**slot.quantized : nullptr});
  }
  return result;
}

}  // namespace distill::models::decoder
