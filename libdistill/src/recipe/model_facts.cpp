#include <distill/recipe/model_facts.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include <distill/core/error.h>
#include <distill/models/check.h>
#include <distill/models/load.h>

namespace distill::recipe {

namespace fs = std::filesystem;

namespace {

std::vector<std::int64_t> chosen_layers(const ModelFacts& facts, const KeepLayers* keep) {
  std::vector<std::int64_t> layers;
  if (keep == nullptr) {
    for (std::int64_t i = 0; i < facts.folder_layers; ++i) layers.push_back(i);
    return layers;
  }
  if (const auto* count = std::get_if<std::int64_t>(keep)) {
    if (*count > facts.folder_layers) {
      fail<ConfigError>("student.init.keep_layers: ", *count, ", but ", facts.folder.string(),
                        " has ", facts.folder_layers, " layers");
    }
    return models::evenly_spaced_layers(facts.folder_layers, *count);
  }
  layers = std::get<std::vector<std::int64_t>>(*keep);
  for (const std::int64_t layer : layers) {
    if (layer < 0 || layer >= facts.folder_layers) {
      fail<ConfigError>("student.init.keep_layers: no layer ", layer, ", ", facts.folder.string(),
                        " has the layers 0 to ", facts.folder_layers - 1);
    }
  }
  return layers;
}

/// The layer that a parameter belongs to.
std::optional<std::int64_t> layer_of(std::string_view name) {
  constexpr std::string_view kMark = "layers.";
  const auto place = name.find(kMark);
  if (place == std::string_view::npos) return std::nullopt;
  const std::string_view number = name.substr(place + kMark.size());
  std::int64_t layer = 0;
  const auto result = std::from_chars(number.data(), number.data() + number.size(), layer);
  return result.ec == std::errc() ? std::optional(layer) : std::nullopt;
}

/// What stays of each token for the backward pass: the output of every projection (or the sum it is
/// added to), the two normed streams, and what enters the last projection of attention and feed
/// forward.
void count_layer_values(const models::ModelDescription& model, ModelFacts& facts) {
  const auto streams = static_cast<std::uint64_t>(2 * facts.hidden_size);
  std::map<std::int64_t, std::uint64_t> values;
  for (const models::ParameterShape& parameter : model.parameters) {
    const auto layer = layer_of(parameter.name);
    if (!layer || parameter.idle || parameter.shape.size() != 2) continue;
    auto& kept = values.try_emplace(*layer, streams).first->second;
    kept += static_cast<std::uint64_t>(parameter.shape[0]);
    for (const char* last : {"o_proj.weight", "down_proj.weight"}) {
      if (parameter.name.ends_with(last)) kept += static_cast<std::uint64_t>(parameter.shape[1]);
    }
  }
  for (const auto& [layer, kept] : values) {
    facts.layer_values += kept;
    facts.largest_layer_values = std::max(facts.largest_layer_values, kept);
  }
}

bool matches(std::string_view name, std::string_view pattern) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return name == pattern;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  name.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  // The shortest match of each piece between stars is enough; the last must end the name.
  for (std::size_t next = pattern.find('*'); next != std::string_view::npos;
       next = pattern.find('*')) {
    const std::size_t found = name.find(pattern.substr(0, next));
    if (found == std::string_view::npos) return false;
    name.remove_prefix(found + next);
    pattern.remove_prefix(next + 1);
  }
  return name.ends_with(pattern);
}

}  // namespace

ModelFacts read_model_facts(const fs::path& folder, const KeepLayers* keep) {
  ModelFacts facts;
  facts.folder = folder;
  facts.folder_layers = models::describe_causal_lm(folder, {}).source_layers;
  facts.layers = chosen_layers(facts, keep);
  const models::ModelDescription model = models::describe_causal_lm(folder, facts.layers);
  facts.hidden_size = model.shape.hidden_size;
  facts.vocab_size = model.shape.vocab_size;
  facts.max_positions = model.shape.max_positions;
  facts.adapter_sites = model.adapter_sites;
  facts.num_parameters = model.shape.num_parameters;
  facts.num_active_parameters = model.shape.num_active_parameters;
  for (const models::ParameterShape& parameter : model.parameters) {
    std::int64_t numel = 1;  // The sum of all fits, or describe_causal_lm would have thrown.
    for (const std::int64_t size : parameter.shape) numel *= size;
    facts.parameters.push_back({parameter.name, numel, parameter.shape.size(), parameter.idle});
  }
  count_layer_values(model, facts);
  return facts;
}

std::vector<bool> match_frozen(const std::vector<std::string>& names,
                               const std::vector<std::string>& patterns) {
  std::vector<bool> frozen(names.size(), false);
  for (std::size_t p = 0; p < patterns.size(); ++p) {
    bool any = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!matches(names[i], patterns[p])) continue;
      frozen[i] = any = true;
    }
    if (any) continue;
    std::vector<std::string> some(names.begin(),
                                  names.begin() + std::min<std::ptrdiff_t>(4, std::ssize(names)));
    fail<ConfigError>("student.freeze.", p, ": `", core::printable(patterns[p]),
                      "` matches no parameter", core::did_you_mean(patterns[p], names),
                      "; there are ", names.size(), ", such as ", core::join(some));
  }
  return frozen;
}

}  // namespace distill::recipe
