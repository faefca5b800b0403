#include "models/decoder/windows.h"

#include <string>

#include <distill/core/error.h>
#include <distill/core/json_writer.h>
#include <distill/core/strings.h>

namespace distill::models::decoder {

namespace {

constexpr std::int64_t kMaxWindow = std::int64_t{1} << 30;
constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";

/// True for each layer that slides.
std::vector<bool> read_layer_types(const io::JsonCursor& types, std::int64_t num_layers) {
  if (static_cast<std::int64_t>(types.as_array().size()) != num_layers) {
    types.fail(core::concat("must name the kind of each of the ", num_layers, " layers, it has ",
                            types.size()));
  }
  std::vector<bool> sliding;
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string& kind = types.at(i).as_string();
    if (kind != kFull && kind != kSliding) {
      fail<UnsupportedError>(types.at(i).where(), " is ", core::printable(kind), ", supported are ",
                             kFull, ", ", kSliding);
    }
    sliding.push_back(kind == kSliding);
  }
  return sliding;
}

std::vector<bool> sliding_layers(const io::JsonCursor& json, std::int64_t num_layers) {
  if (json.has("layer_types")) return read_layer_types(json.at("layer_types"), num_layers);
  std::vector<bool> sliding(static_cast<std::size_t>(num_layers), false);
  if (!json.bool_or("use_sliding_window", false)) return sliding;
  const std::int64_t first = json.at("max_window_layers").int_in(0, kMaxWindow);
  for (std::int64_t i = first; i < num_layers; ++i) sliding[static_cast<std::size_t>(i)] = true;
  return sliding;
}

}  // namespace

Windows read_windows(const io::JsonCursor& json, std::int64_t num_layers) {
  Windows windows(static_cast<std::size_t>(num_layers), 0);
  const std::vector<bool> sliding = sliding_layers(json, num_layers);
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (!sliding[i]) continue;
    if (!json.bool_or("use_sliding_window", false)) {
      json.at("layer_types")
          .at(i)
          .fail(core::concat("is ", kSliding, ", but `use_sliding_window` is false"));
    }
    windows[i] = json.at("sliding_window").int_in(1, kMaxWindow);
  }
  return windows;
}

std::vector<ConfigChange> window_changes(const io::JsonCursor& json, const Windows& windows,
                                         std::span<const std::int64_t> kept) {
  core::JsonWriter types;
  types.begin_array();
  std::int64_t leading_full = 0;
  bool slides = false;
  for (const std::int64_t layer : kept) {
    const bool sliding = windows[static_cast<std::size_t>(layer)] > 0;
    slides |= sliding;
    if (!slides) ++leading_full;
    types.value(sliding ? kSliding : kFull);
  }
  types.end_array();
  std::vector<ConfigChange> changes;
  if (slides || json.has("layer_types")) changes.push_back({"layer_types", types.text()});
  if (slides) changes.push_back({"max_window_layers", std::to_string(leading_full)});
  return changes;
}

}  // namespace distill::models::decoder
