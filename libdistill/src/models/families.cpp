#include "models/families.h"

#include <algorithm>
#include <array>
#include <numeric>

#include <distill/core/error.h>
#include <distill/core/strings.h>

#include "models/deepseek/deepseek.h"
#include "models/llama/llama.h"
#include "models/mistral/mistral.h"
#include "models/qwen2/qwen2.h"
#include "models/qwen3/qwen3.h"
#include "models/qwen3_moe/qwen3_moe.h"

namespace distill::models {

namespace {

constexpr std::array kFamilies = {
    Family{"deepseek_v2", "DeepseekV2ForCausalLM", &deepseek::build_v2},
    Family{"deepseek_v3", "DeepseekV3ForCausalLM", &deepseek::build_v3},
    Family{"llama", "LlamaForCausalLM", &llama::build},
    Family{"mistral", "MistralForCausalLM", &mistral::build},
    Family{"qwen2", "Qwen2ForCausalLM", &qwen2::build},
    Family{"qwen3", "Qwen3ForCausalLM", &qwen3::build},
    Family{"qwen3_moe", "Qwen3MoeForCausalLM", &qwen3_moe::build},
};

std::string known_types() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.model_type);
  return core::join(names);
}

void require_architecture(const io::JsonCursor& config, const Family& family) {
  if (!config.has("architectures")) return;
  const io::JsonCursor list = config.at("architectures");
  for (std::size_t i = 0; i < list.as_array().size(); ++i) {
    const std::string& name = list.at(i).as_string();
    if (name != family.architecture) {
      fail<UnsupportedError>(list.at(i).where(), " is ", core::printable(name), ", expected ",
                             family.architecture, " for model_type ", family.model_type);
    }
  }
}

}  // namespace

std::span<const Family> families() {
  return kFamilies;
}

const Family& find_family(const io::JsonCursor& config) {
  const io::JsonCursor type = config.at("model_type");
  const std::string& name = type.as_string();
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                  [&](const Family& family) { return family.model_type == name; });
  if (found == kFamilies.end()) {
    fail<UnsupportedError>(type.where(), " is ", core::printable(name),
                           ", known are: ", known_types());
  }
  require_architecture(config, *found);
  return *found;
}

std::vector<std::int64_t> resolve_layers(std::span<const std::int64_t> keep_layers,
                                         std::int64_t num_layers, const std::string& source) {
  std::vector<std::int64_t> layers(keep_layers.begin(), keep_layers.end());
  if (layers.empty()) {
    layers.resize(static_cast<std::size_t>(num_layers));
    std::iota(layers.begin(), layers.end(), 0);
    return layers;
  }
  std::vector<bool> seen(static_cast<std::size_t>(num_layers), false);
  for (const std::int64_t layer : layers) {
    if (layer < 0 || layer >= num_layers) {
      fail<ConfigError>("keep_layers names layer ", layer, ", but ", source, " has layers 0 to ",
                        num_layers - 1);
    }
    if (seen[static_cast<std::size_t>(layer)]) {
      fail<ConfigError>("keep_layers names layer ", layer, " twice; name each layer once");
    }
    seen[static_cast<std::size_t>(layer)] = true;
  }
  return layers;
}

}  // namespace distill::models
