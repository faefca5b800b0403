#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include <distill/core/error.h>
#include <distill/core/paths.h>
#include <distill/core/text_pattern.h>
#include <distill/io/json_value.h>
#include <distill/io/safetensors.h>
#include <distill/lora/options.h>
#include <distill/lora/peft.h>
#include <distill/models/check.h>

#include "lora/adapter_files.h"
#include "lora/tensor_names.h"

namespace distill::lora {

namespace fs = std::filesystem;

namespace {

/// Adapters whose ranks are all different name every module.
constexpr std::size_t kMostPatterns = 10'000;
constexpr std::int64_t kMostRank = std::int64_t{1} << 20;

/// Keys that change nothing about what the tensors mean, or are read below.
constexpr std::array<std::string_view, 22> kTaken = {"peft_type",
                                                     "peft_version",
                                                     "base_model_name_or_path",
                                                     "revision",
                                                     "task_type",
                                                     "inference_mode",
                                                     "auto_mapping",
                                                     "megatron_core",
                                                     "qalora_group_size",
                                                     "layers_pattern",
                                                     "layers_to_transform",
                                                     "target_modules",
                                                     "exclude_modules",
                                                     "r",
                                                     "lora_alpha",
                                                     "lora_dropout",
                                                     "rank_pattern",
                                                     "alpha_pattern",
                                                     "use_rslora",
                                                     "use_dora",
                                                     "bias",
                                                     "init_lora_weights"};

bool says_nothing(const io::JsonValue& value) {
  if (value.is_null()) return true;
  if (value.is_bool()) return !std::get<bool>(value.storage());
  if (value.is_array()) return std::get<io::JsonArray>(value.storage()).empty();
  return value.is_object() && std::get<io::JsonObject>(value.storage()).size() == 0;
}

[[noreturn]] void refuse(const io::JsonCursor& at, const std::string& what) {
  fail<UnsupportedError>(at.where(), " ", what);
}

/// Settings of PEFT that would change the mathematics and are not done here.
void refuse_others(const io::JsonCursor& json) {
  if (json.at("peft_type").as_string() != "LORA") {
    refuse(json.at("peft_type"),
           "is " + core::printable(json.at("peft_type").as_string()) + ", only LORA is known");
  }
  if (json.string_or("bias", "none") != "none") {
    refuse(json.at("bias"), "is not none: adapters that train biases are not done");
  }
  for (const auto& [name, value] : json.as_object().members()) {
    const bool taken = std::find(kTaken.begin(), kTaken.end(), name) != kTaken.end();
    if (taken || says_nothing(value)) continue;
    refuse(json.at(name), "is set; what it does to the model is not done here");
  }
  if (!json.has("init_lora_weights")) return;
  const io::JsonCursor init = json.at("init_lora_weights");
  if (init.value().is_bool()) return;
  constexpr std::array<std::string_view, 3> kHarmless = {"gaussian", "eva", "orthogonal"};
  if (std::find(kHarmless.begin(), kHarmless.end(), init.as_string()) != kHarmless.end()) return;
  refuse(init, "is " + core::printable(init.as_string()) +
                   ": the adapter belongs to a changed base; let PEFT convert it "
                   "(`path_initial_model_for_weight_conversion`)");
}

/// Of an alpha, or a rank in a pattern.
double positive(const io::JsonCursor& at) {
  const double value = at.as_double();
  if (value > 0 && value <= kMostAlpha) return value;
  at.fail(core::concat("must be above 0 and at most ", kMostAlpha, ", it is ", value));
}

/// `rank_pattern` and `alpha_pattern`: the value of the first expression that matches a module.
class ValuePatterns {
 public:
  ValuePatterns(const io::JsonCursor& json, std::string_view key) {
    if (!json.has(key)) return;
    const io::JsonCursor patterns = json.at(key);
    if (patterns.size() > kMostPatterns) {
      patterns.fail(core::concat("holds ", patterns.size(), " patterns, at most ", kMostPatterns,
                                 " are taken"));
    }
    for (const auto& [pattern, value] : patterns.as_object().members()) {
      const io::JsonCursor at = patterns.at(pattern);
      patterns_.emplace_back(core::TextPattern(pattern, core::TextPattern::Part::kEnd, at.where()),
                             positive(at));
    }
  }

  std::optional<double> of(const std::string& module) const {
    for (const auto& [pattern, value] : patterns_) {
      if (pattern.matches(module)) return value;
    }
    return std::nullopt;
  }

 private:
  std::vector<std::pair<core::TextPattern, double>> patterns_;
};

/// A tensor's module and which of its parts it is.
struct Part {
  std::string module, suffix;
};

Part part_of(const std::string& name, const fs::path& file) {
  constexpr std::array<std::string_view, 6> kSuffixes = {
      ".lora_A.weight",    ".lora_B.weight",         ".lora_embedding_A",
      ".lora_embedding_B", ".lora_magnitude_vector", kBaseLayer};
  const std::string_view prefix = kPeftPrefix;
  for (const std::string_view suffix : kSuffixes) {
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
    if (name.size() <= prefix.size() + suffix.size()) continue;
    return {name.substr(prefix.size(), name.size() - prefix.size() - suffix.size()),
            std::string(suffix)};
  }
  fail<FormatError>(file.string(), ": `", core::printable(name, kShownName),
                    "` is no tensor of a LoRA adapter, expected `", kPeftPrefix,
                    "MODULE.lora_A.weight` and the like");
}

/// The rank of each module that has tensors.
std::map<std::string, std::int64_t> ranks_of(const io::SafetensorsFile& file) {
  std::map<std::string, std::int64_t> ranks;
  for (const io::TensorEntry& entry : file.entries()) {
    const Part part = part_of(entry.name, file.path());
    if (part.suffix == kBaseLayer) continue;
    std::int64_t& rank = ranks[part.module];
    if (part.suffix != ".lora_A.weight" && part.suffix != ".lora_embedding_A") continue;
    if (entry.shape.size() != 2 || entry.shape[0] < 1 || entry.shape[0] > kMostRank) {
      fail<FormatError>(file.path().string(), ": `", core::printable(entry.name, kShownName),
                        "` is no matrix [rank, in]");
    }
    rank = entry.shape[0];
  }
  for (const auto& [module, rank] : ranks) {
    if (rank > 0) continue;
    fail<FormatError>(file.path().string(), ": `", core::printable(module, kShownName),
                      "` has tensors, but no `lora_A.weight`");
  }
  if (ranks.empty()) fail<FormatError>(file.path().string(), ": holds no adapter tensor");
  return ranks;
}

nn::AdapterOptions common_options(const io::JsonCursor& json) {
  nn::AdapterOptions options;
  options.rank = json.at("r").int_in(1, kMostRank);
  options.alpha = positive(json.at("lora_alpha"));
  options.rslora = json.bool_or("use_rslora", false);
  options.dora = json.bool_or("use_dora", false);
  options.dropout = json.double_or("lora_dropout", 0.0);
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    json.at("lora_dropout").fail("must be at least 0 and below 1");
  }
  return options;
}

}  // namespace

io::SafetensorsFile open_adapter_tensors(const fs::path& folder) {
  const fs::path path = folder / kAdapterTensors;
  if (!core::path_exists(path) && core::path_exists(folder / "adapter_model.bin")) {
    fail<UnsupportedError>((folder / "adapter_model.bin").string(),
                           ": pickled tensors are not read, they can run code; save the adapter "
                           "with safetensors");
  }
  return io::SafetensorsFile::open(path);
}

void check_values(const fs::path& folder) {
  const auto problems = models::value_problems(open_adapter_tensors(folder));
  if (!problems.empty()) fail<FormatError>(problems.front());
}

AdapterConfig read_adapter_config(const fs::path& folder) {
  const fs::path path = folder / kAdapterConfig;
  const io::JsonValue value = io::read_json_file(path);
  const io::JsonCursor json(value, path.string());
  refuse_others(json);
  AdapterConfig config;
  config.base_model = json.string_or("base_model_name_or_path", "");
  config.options = common_options(json);
  const ValuePatterns ranks(json, "rank_pattern"), alphas(json, "alpha_pattern");
  const io::SafetensorsFile file = open_adapter_tensors(folder);
  const auto found = file.metadata().find(kBaseFingerprint);
  if (found != file.metadata().end()) config.fingerprint = found->second;
  for (const auto& [module, rank] : ranks_of(file)) {
    nn::AdapterOptions options = config.options;
    const double expected = ranks.of(module).value_or(static_cast<double>(options.rank));
    if (static_cast<double>(rank) != expected) {
      fail<FormatError>(file.path().string(), ": the adapter of `",
                        core::printable(module, kShownName), "` has rank ", rank, ", ",
                        path.string(), " says ", expected);
    }
    options.rank = rank;
    options.alpha = alphas.of(module).value_or(options.alpha);
    config.choice.emplace(module, options);
  }
  for (const io::TensorEntry& entry : file.entries()) {
    std::int64_t numel = 1;  // the file holds as many, so the product fits
    for (const std::int64_t size : entry.shape) numel *= size;
    if (part_of(entry.name, file.path()).suffix == kBaseLayer) continue;
    config.num_parameters += numel;
    ++config.num_tensors;
  }
  return config;
}

}  // namespace distill::lora
