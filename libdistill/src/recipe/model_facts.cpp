#include <distill/recipe/model_facts.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include <distill/core/checked.h>
#include <distill/core/error.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>
#include <distill/models/check.h>
#include <distill/models/load.h>

namespace distill::recipe {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kLayerPrefix = "model.layers.";
constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

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

/// The name a stored tensor has in the model; nothing for a tensor that is no parameter of it.
std::optional<std::string> model_name(const std::string& stored, const ModelFacts& facts,
                                      bool tied) {
  if (stored.ends_with("rotary_emb.inv_freq") || (tied && stored == "lm_head.weight")) {
    return std::nullopt;
  }
  if (!stored.starts_with(kLayerPrefix)) return stored;
  const char* begin = stored.data() + kLayerPrefix.size();
  std::int64_t layer = 0;
  const auto [end, error] = std::from_chars(begin, stored.data() + stored.size(), layer);
  const auto place = std::find(facts.layers.begin(), facts.layers.end(), layer);
  if (error != std::errc{} || place == facts.layers.end()) return std::nullopt;
  return core::concat(kLayerPrefix, place - facts.layers.begin(), end);
}

void read_parameters(ModelFacts& facts, bool tied) {
  const auto weights = io::SafetensorsFolder::open(facts.folder);
  for (const auto& [stored, location] : weights.tensors()) {
    const auto name = model_name(stored, facts, tied);
    if (!name) continue;
    const auto product = core::checked_product(location.entry->shape);
    const auto numel = product ? core::checked_cast<std::int64_t>(*product) : std::nullopt;
    if (!numel)
      fail<FormatError>(facts.folder.string(), ": `", core::printable(stored), "` is too large");
    facts.parameters.push_back({*name, *numel});
    facts.num_parameters += *numel;
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
  models::check_config(folder);
  const fs::path config_path = folder / "config.json";
  const io::JsonValue json = io::read_json_file(config_path);
  const io::JsonCursor config(json, config_path.string());
  ModelFacts facts;
  facts.folder = folder;
  facts.folder_layers = config.at("num_hidden_layers").int_in(1, 100'000);
  facts.hidden_size = config.at("hidden_size").int_in(1, kMost);
  facts.vocab_size = config.at("vocab_size").int_in(1, kMost);
  facts.intermediate_size = config.has("intermediate_size")
                                ? config.at("intermediate_size").int_in(1, kMost)
                                : 4 * facts.hidden_size;
  facts.max_positions = config.has("max_position_embeddings")
                            ? config.at("max_position_embeddings").int_in(1, kMost)
                            : kMost;
  facts.layers = chosen_layers(facts, keep);
  read_parameters(facts, config.bool_or("tie_word_embeddings", false));
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
