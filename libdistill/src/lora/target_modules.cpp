#include "lora/target_modules.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace distill::lora {

namespace {

/// 3 of `model.layers.3.mlp.up_proj`: the first number between two dots, nothing where there is
/// none.
std::optional<std::int64_t> layer_of(std::string_view module) {
  for (std::size_t dot = module.find('.'); dot != std::string_view::npos;
       dot = module.find('.', dot + 1)) {
    const std::string_view rest = module.substr(dot + 1);
    std::int64_t layer = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
    if (error == std::errc() && end != rest.data() + rest.size() && *end == '.') return layer;
  }
  return std::nullopt;
}

}  // namespace

bool TargetModules::Names::mean(const std::string& module) const {
  if (pattern) return pattern->matches(module);
  return std::ranges::any_of(
      ends, [&](const std::string& end) { return module == end || module.ends_with("." + end); });
}

TargetModules::Names TargetModules::names_at(const io::JsonCursor& json, std::string_view key) {
  Names names;
  if (!json.has(key)) return names;
  const io::JsonCursor at = json.at(key);
  if (at.value().is_string()) {
    names.pattern.emplace(at.as_string(), core::TextPattern::Part::kWhole, at.where());
    return names;
  }
  for (std::size_t i = 0; i < at.as_array().size(); ++i) {
    names.ends.push_back(at.at(i).as_string());
  }
  return names;
}

TargetModules::TargetModules(const io::JsonCursor& json)
    : excluded_(names_at(json, "exclude_modules")) {
  constexpr std::string_view kAllLinear = "all-linear";
  const bool all = json.has("target_modules") && json.at("target_modules").value().is_string() &&
                   json.at("target_modules").as_string() == kAllLinear;
  const bool by_pattern = json.has("layers_to_transform") && json.has("layers_pattern");
  if (!all && !by_pattern) targets_ = names_at(json, "target_modules");
  if (!json.has("layers_to_transform")) return;
  const io::JsonCursor layers = json.at("layers_to_transform");
  layers_.emplace();
  if (layers.value().is_integer()) {
    layers_->insert(layers.as_int());
    return;
  }
  for (std::size_t i = 0; i < layers.as_array().size(); ++i) {
    layers_->insert(layers.at(i).as_int());
  }
}

bool TargetModules::mean(const std::string& module) const {
  if (!targets_.mean(module) || excluded_.mean(module)) return false;
  if (!layers_ || targets_.pattern) return true;  // PEFT: layers count beside a list alone
  const auto layer = layer_of(module);
  return layer && layers_->contains(*layer);
}

}  // namespace distill::lora
